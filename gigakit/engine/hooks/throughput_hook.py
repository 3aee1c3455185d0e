"""How fast a run goes, and what share of its device's matmul rate it uses."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from mmengine.device import get_device
from mmengine.hooks import Hook
from torch import Tensor

from gigakit.engine.flops import flop_counter, is_counted
from gigakit.engine.matmul_peak import matmul_peak
from gigakit.engine.resources import peak_cuda_memory_mb, peak_memory_mb
from gigakit.engine.run_precision import compute_dtype
from gigakit.registry import HOOKS

_KEPT_COUNTS = 16


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Measure steps, samples and tokens a second, the wait for data, memory and FLOPs.

    ScalarsHook logs what :meth:`read` returns. Validation is left out of all rates; what
    hooks cost is in them. FLOPs are counted on real steps as they run, and only on some
    (:func:`~gigakit.engine.flops.is_counted`), since counting slows a step::

        FLOPs a second = (FLOPs / tokens over the newest 16 counted steps) × tokens a second

    with steps in place of tokens where batches have no ``padding_mask``. They are hardware FLOPs:
    the work on padding counts, as does what activation checkpointing computes again. The share is
    of :func:`~gigakit.engine.matmul_peak.matmul_peak`, in the precision of the forward pass. With
    several ranks the rates are of all together and the peak is the sum of theirs.

    A resumed run counts anew from its first step.
    """

    # last of all hooks, so that what they cost is no wait for data
    priority = "LOWEST"

    def __init__(self) -> None:
        self._clock = _Clock()
        self._steps = self._tokens = self._begun = 0
        self._counts: deque[_Count] = deque(maxlen=_KEPT_COUNTS)
        self._peak = 0.0
        self._train_step: Callable[..., Any]

    def before_train(self, runner: Any) -> None:
        """Measure the device's matmul peak, and look at every batch from now on."""
        self._peak = matmul_peak(torch.device(get_device()), compute_dtype(runner.optim_wrapper))
        # mmengine's compile option replaces the same attribute
        self._train_step = runner.model.train_step
        runner.model.train_step = self._observed_step
        self._clock.start()

    def after_train(self, runner: Any) -> None:
        """Leave the model as it was."""
        del runner.model.train_step

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note the time that the step waited for data."""
        self._clock.data_arrived()
        self._steps += 1
        self._begun += 1
        if is_counted(self._begun):
            self._counts.append(_Count())

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Begin to wait for data."""
        self._clock.wait_for_data()

    def before_val_epoch(self, runner: Any) -> None:
        """Stop the clock."""
        self._clock.stop()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Let the clock go on."""
        self._clock.go_on()

    def read(self, runner: Any) -> dict[str, float]:
        """Return the rates since the last call; all ranks call it after the same step."""
        seconds, waited = self._clock.read()
        flops, tokens, peak = _over_ranks(
            [self._flops(), self._tokens, self._peak], runner.world_size
        )
        steps = self._steps / seconds
        # the loop counts a step when its hooks are done
        made = runner.iter + 1
        samples = runner.train_loop.draws_at(made) - runner.train_loop.draws_at(made - self._steps)
        values: dict[str, float | None] = {
            "perf/steps_per_second": steps,
            "perf/samples_per_second": samples / seconds,
            "perf/tokens_per_second": tokens / seconds or None,
            "perf/tflops_per_second": flops / seconds / 1e12 or None,
            "perf/matmul_peak_share": flops / seconds / peak or None,
            "perf/data_wait_share": waited / seconds,
            "perf/peak_memory_mb": peak_memory_mb(),
            "perf/peak_cuda_memory_mb": peak_cuda_memory_mb(),
        }
        self._steps = self._tokens = 0
        return {tag: value for tag, value in values.items() if value is not None}

    # a closure would keep the model in the traceback of an error
    def _observed_step(self, data: Any, optim_wrapper: Any) -> Any:
        tokens = _tokens(data)
        self._tokens += tokens
        if not is_counted(self._begun):
            return self._train_step(data, optim_wrapper=optim_wrapper)
        with flop_counter() as counter:
            outputs = self._train_step(data, optim_wrapper=optim_wrapper)
        self._counts[-1].tokens += tokens
        self._counts[-1].flops += counter.get_total_flops()
        return outputs

    def _flops(self) -> float:
        """Return the FLOPs of the steps since the last reading, from those of counted steps."""
        flops = sum(count.flops for count in self._counts)
        tokens = sum(count.tokens for count in self._counts)
        if tokens:
            return flops / tokens * self._tokens
        return flops / max(len(self._counts), 1) * self._steps


@dataclass
class _Count:
    """What one counted step of this rank did."""

    flops: int = 0
    tokens: int = 0


class _Clock:
    """Wall time since the last reading, and how much of it was waiting for data."""

    def start(self) -> None:
        self._start = self._mark = time.perf_counter()
        self._waited = 0.0

    __init__ = start

    def wait_for_data(self) -> None:
        self._mark = time.perf_counter()

    def data_arrived(self) -> None:
        self._waited += time.perf_counter() - self._mark

    def stop(self) -> None:
        self._stopped = time.perf_counter()

    def go_on(self) -> None:
        lost = time.perf_counter() - self._stopped
        self._start += lost
        self._mark += lost

    def read(self) -> tuple[float, float]:
        now = time.perf_counter()
        seconds, waited = max(now - self._start, 1e-9), self._waited
        self._start, self._waited = now, 0.0
        return seconds, waited


def _tokens(data: Any) -> int:
    if not isinstance(data, Mapping):
        return 0
    if lengths := data.get("lengths"):
        return sum(lengths)
    mask = data.get("padding_mask")
    return int(mask.numel() - mask.sum()) if isinstance(mask, Tensor) else 0


def _over_ranks(values: list[float], world_size: int) -> list[float]:
    if world_size == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    summed: list[float] = total.tolist()
    return summed
