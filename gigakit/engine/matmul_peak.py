"""What a device reaches at best: its matmul rate, measured."""

from __future__ import annotations

import functools
import time

import torch
from torch import Tensor

_BUDGET_SECONDS = 0.15
_SECONDS_PER_SIZE = 0.02
_MIN_REPEATS = 3
_SIDES = (256, 512, 1024, 2048, 4096, 8192)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best rate of square matmuls in FLOP/s, measured once a process.

    The best of a few repeats over growing sizes, within about 0.2 s after warm-up, with the threads
    and the float32 precision that the process has set. It is what a large matmul reaches here and
    now, not a data sheet's figure, so a share of it compares runs on one machine and machines with
    each other; work of others on the machine lowers it.

    Args:
        device: where a run computes.
        dtype: what its matmuls compute in.
    """
    return _measured(str(device), dtype, torch.get_num_threads())


@functools.cache
def _measured(device: str, dtype: torch.dtype, _threads: int) -> float:
    generator = torch.Generator(device).manual_seed(0)
    best, start = 0.0, time.perf_counter()
    for side in _SIDES:
        matrix = torch.randn(side, side, generator=generator, device=device)
        seconds = best_product_seconds(matrix.to(dtype))
        best = max(best, 2 * side**3 / seconds)
        # the next size costs eight times as much a repeat, and one more to warm up
        left = _BUDGET_SECONDS - (time.perf_counter() - start)
        if 8 * seconds * (_MIN_REPEATS + 1) > left:
            break
    if torch.device(device).type == "cuda":
        # the run's own peak is reported, not that of this measurement
        torch.cuda.reset_peak_memory_stats()
    return best


def best_product_seconds(matrix: Tensor) -> float:
    """Return the seconds of the fastest of a few products of a square matrix with itself."""
    torch.mm(matrix, matrix)
    best, repeats, start = float("inf"), 0, time.perf_counter()
    while repeats < _MIN_REPEATS or time.perf_counter() - start < _SECONDS_PER_SIZE:
        _wait_for(matrix.device)
        begin = time.perf_counter()
        torch.mm(matrix, matrix)
        _wait_for(matrix.device)
        best = min(best, time.perf_counter() - begin)
        repeats += 1
    return best


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()
