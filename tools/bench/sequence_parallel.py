"""Dilated attention with one slide over several processes: what travels, and what it costs.

traffic    from the plans alone: what the process that receives most receives in one layer's
           forward, by the published segments, in equal parts, against an all-gather of every key
           and value, and against the published code's way, which gathers picked rows from all
           processes whatever their segment (and cannot do these segments at all)
processes  real gloo processes on this machine, forward+backward of the core: CPU time, the
           busiest process's peak memory and what it sends, and the difference from one process

A backward receives three times a forward: keys and values again, and gradients for the owners.

Usage:  python tools/bench/sequence_parallel.py [--lengths 70122 1048576] [--processes 2 4 8 16 64]
                                                [--run-length 10001] [--run-processes 1 2 4]
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from measure import peak_mib
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from gigakit.nn.attention.dilated import DILATION_RATIOS, SEGMENT_LENGTHS, DilatedAttention
from gigakit.nn.attention.sequence_parallel import TokenSplit
from gigakit.nn.attention.split_plan import plan_split

HEADS, HEAD_DIM = 16, 48
PATIENCE = datetime.timedelta(minutes=10)


def bounds_of(length: int, processes: int) -> tuple[int, ...]:
    """Return the first token of each process, and the length."""
    return tuple(rank * length // processes for rank in range(processes + 1))


def tokens_received(length: int, processes: int) -> int:
    """Return how many tokens' keys and values, all heads, the busiest process receives."""
    variant, bounds = DilatedAttention(misaligned_segments="fixed"), bounds_of(length, processes)
    plans = tuple(
        variant._plans(length, HEADS, "cuda", *bounds[rank : rank + 2]) for rank in range(processes)
    )
    most = 0
    for rank in range(processes):
        pieces = [p for buffer in plan_split(bounds, rank, plans).buffers for p in buffer]
        most = max(most, sum(p.rows * p.group.slots for p in pieces if p.owner != rank))
    return most // (2 * HEADS)


def published_tokens_received(length: int, processes: int) -> int:
    """Return the same where picked rows of all processes are gathered, as published."""
    part = length // processes
    return sum(
        (length - part) // ratio
        for segment, ratio in zip(SEGMENT_LENGTHS, DILATION_RATIOS, strict=True)
        if segment > part
    )


def traffic(lengths: list[int], processes: list[int]) -> str:
    """Return the table of what travels."""
    lines = [
        "| T | processes | MiB received, bf16 | of a process's keys and values | of an all-gather "
        "| of the published way |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for length in lengths:
        for number in processes:
            received, part = tokens_received(length, number), length // number
            mib = received * 2 * HEADS * HEAD_DIM * 2 / 2**20
            lines.append(
                f"| {length:,} | {number} | {mib:,.0f} | {received / part:.2f} "
                f"| {received / (length - part):.2f} "
                f"| {received / published_tokens_received(length, number):.2f} |"
            )
    return "\n".join(lines)


def work(rank: int, processes: int, length: int, folder: str) -> None:
    """Compute one process's part and write down what it took."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=processes,
        timeout=PATIENCE,
    )
    group = dist.new_group()
    generator, variant = torch.Generator().manual_seed(length), DilatedAttention()
    bounds = bounds_of(length, processes)
    mine = slice(*bounds[rank : rank + 2])
    q, k, v, grad = (
        torch.randn(1, length, HEADS, HEAD_DIM, generator=generator)[:, mine].contiguous()
        for _ in range(4)
    )
    inputs = [x.requires_grad_() for x in (q, k, v)]
    parts = tuple(b - a for a, b in itertools.pairwise(bounds))
    sent, exchange = [0], dist.all_to_all_single

    def counting(received: Tensor, given: Tensor, *sizes: Any, **options: Any) -> Any:
        sent[0] += given.nbytes
        return exchange(received, given, *sizes, **options)

    found: list[Tensor] = []

    def both() -> None:
        split = TokenSplit(group, rank, (parts,))
        out = variant(*inputs, split=split)
        found[:] = [out.detach(), *torch.autograd.grad(out, inputs, grad)]

    both()
    dist.all_to_all_single = counting
    dist.barrier()
    cpu, wall = time.process_time(), time.perf_counter()
    memory = peak_mib(both)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    result = {"cpu_s": cpu, "wall_s": wall, "peak_mib": memory, "sent": sent[0], "found": found}
    torch.save(result, Path(folder) / f"{processes}-{rank}.pt")
    dist.destroy_process_group()


def run(length: int, processes: list[int]) -> str:
    """Return the table of real processes."""
    lines = [
        "| processes | CPU s in all | CPU s of the busiest | s by the clock "
        "| peak MiB a process | MiB sent | largest difference |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    whole: list[Tensor] = []
    for number in processes:
        with tempfile.TemporaryDirectory() as folder:
            spawn(work, (number, length, folder), number)  # type: ignore[no-untyped-call]
            results = [torch.load(Path(folder) / f"{number}-{rank}.pt") for rank in range(number)]
        together = [torch.cat(x, dim=1) for x in zip(*(r["found"] for r in results), strict=True)]
        whole = whole or together
        difference = max((a - b).abs().max().item() for a, b in zip(together, whole, strict=True))
        cpu, wall, memory, sent = (
            max(r[name] for r in results) for name in ("cpu_s", "wall_s", "peak_mib", "sent")
        )
        lines.append(
            f"| {number} | {sum(r['cpu_s'] for r in results):.2f} | {cpu:.2f} | {wall:.2f} "
            f"| {memory:.0f} | {sent / 2**20:.0f} | {difference:.1e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[70_122, 1_048_576])
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4, 8, 16, 64])
    parser.add_argument("--run-length", type=int, default=10_001)
    parser.add_argument("--run-processes", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    print(f"one layer, {HEADS} heads of {HEAD_DIM}: what the busiest process receives forward")
    print(traffic(arguments.lengths, arguments.processes), flush=True)
    print(f"\nforward+backward at T = {arguments.run_length:,}, float32, one thread a process")
    print(run(arguments.run_length, arguments.run_processes))


if __name__ == "__main__":
    main()
