"""Dilated attention's core against the published way, dense attention, and the floor.

gigakit    ``DilatedAttention`` as registered, with the published segments
published  the same result by the published steps: gather and pad each segment, one attention a
           branch, scatter to a dense output and log-sum-exp a branch, merge
dense      one attention over all tokens (another result, like the next two)
local      ``LocalAttention``: 512 tokens on each side
linear     ``LinearAttention``
floor      one attention call per group of equal segments on exactly the real pairs, from inputs
           that are ready: what no way of the same result can be below

All use torch's flash kernel, take turns in one process on the same tensors, and run on one thread.
Memory is the rise of the resident peak, inputs excluded.

Usage:  python tools/bench/dilated_attention.py [--lengths 1025 10001 32769] [--turns 5]
                                                [--dtype bfloat16] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from attention_ways import Floor, dense, published_way
from measure import in_turns, peak_mib

from gigakit.core.heap import return_large_blocks
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.nn.attention.linear import LinearAttention
from gigakit.nn.attention.local import LocalAttention

HEADS, HEAD_DIM = 16, 48


def measure(length: int, turns: int, dense_up_to: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return times, memory and FLOPs of every way at one length."""
    generator = torch.Generator().manual_seed(length)
    tensors = [
        torch.randn(1, length, HEADS, HEAD_DIM, generator=generator).to(dtype) for _ in range(4)
    ]
    grad, inputs = tensors[3], [x.requires_grad_() for x in tensors[:3]]
    variant = DilatedAttention()
    floor = Floor(length, HEADS, HEAD_DIM, dtype=dtype)
    ways: dict[str, Callable[..., torch.Tensor]] = {"gigakit": variant, "published": published_way}
    ways |= {"local": LocalAttention(), "linear": LinearAttention()}
    if length <= dense_up_to:
        ways["dense"] = dense
    with torch.no_grad():
        difference = (variant(*inputs).float() - published_way(*inputs).float()).abs().max().item()

    def forward(way: Callable[..., torch.Tensor]) -> Callable[[], object]:
        return torch.no_grad()(lambda: way(*inputs))

    def both(way: Callable[..., torch.Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(way(*inputs), inputs, grad)

    passes: dict[str, dict[str, Callable[[], object]]] = {
        "forward": {name: forward(way) for name, way in ways.items()} | {"floor": floor.forward},
        "forward+backward": {name: both(way) for name, way in ways.items()}
        | {"floor": floor.forward_backward},
    }
    result: dict[str, Any] = {
        "length": length,
        "largest_difference": difference,
        "gflop_forward": variant.flops(length, HEADS, HEAD_DIM) / 1e9,
        "gflop_floor": 4 * HEAD_DIM * floor.pairs / 1e9,
    }
    for name, ways_of_pass in passes.items():
        times = in_turns(ways_of_pass, turns=turns)
        memory = {way: peak_mib(ways_of_pass[way]) for way in ways}
        result[name] = {
            way: {"cpu_s": t.cpu, "wall_s": t.wall, "peak_mib": memory.get(way)}
            for way, t in times.items()
        }
    return result


def table(results: list[dict[str, Any]], name: str) -> str:
    """Return the Markdown table of one pass."""
    lines = [
        "| T | GFLOP | floor, CPU s | gigakit / floor | gigakit / published "
        "| peak MiB: gigakit / published | ratio | dense / gigakit | local / gigakit "
        "| linear / gigakit |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        ways = result[name]
        own, published, floor = (ways[way]["cpu_s"] for way in ("gigakit", "published", "floor"))
        others = [
            f"{ways[way]['cpu_s'] / own:.2f}" if way in ways else ""
            for way in ("dense", "local", "linear")
        ]
        memory = [ways[way]["peak_mib"] for way in ("gigakit", "published")]
        gflop = result["gflop_forward"] * (1 if name == "forward" else 3.5)
        lines.append(
            f"| {result['length']:,} | {gflop:.1f} | {floor:.3f} | {own / floor:.2f} "
            f"| {own / published:.2f} | {memory[0]:.0f} / {memory[1]:.0f} "
            f"| {memory[0] / memory[1]:.2f} | {' | '.join(others)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1001, 1025, 4001, 10001, 32769])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--dense-up-to", type=int, default=10_001, help="longest T of dense")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return_large_blocks()
    dtype = getattr(torch, arguments.dtype)
    results = []
    for length in arguments.lengths:
        results.append(measure(length, arguments.turns, arguments.dense_up_to, dtype))
        print(json.dumps(results[-1]), flush=True)
    for name in ("forward", "forward+backward"):
        print(f"\n{name}, {arguments.dtype}, {HEADS} heads of {HEAD_DIM}, one thread, CPU seconds")
        print(table(results, name))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
