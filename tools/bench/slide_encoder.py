"""The 12-layer, 768-wide slide encoder: time, memory and share of the machine's matmul rate.

gigakit     the encoder as registered
bf16        the same under bfloat16 autocast
published   the same encoder whose attention takes the published steps (see dilated_attention.py)
checkpoint  forward and backward with each block's activations computed again

Ways of one pass take turns in one process, on one thread; long sequences run once each. Memory is
the rise of the resident peak, weights and inputs excluded, gradients included. The floor is the
FLOPs of the pass over the machine's own fp32 matmul rate, measured in the same run.

Usage:  python tools/bench/slide_encoder.py [--lengths 1001 4001 10001] [--turns 3]
                                            [--longest 70122] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from attention_ways import published_way
from measure import Times, in_turns, once, peak_mib
from torch import Tensor, nn

from gigakit.core.heap import return_large_blocks
from gigakit.engine.activation_checkpointing import checkpoint_activations
from gigakit.engine.matmul_peak import matmul_peak
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.registry import BACKBONES

TILE_WIDTH, WIDTH, HEADS = 1536, 768, 16
IN_TURNS_UP_TO = 2000
# beyond this a backward pass without checkpoints needs more memory than a workstation has to spare
ALL_WAYS_UP_TO = 5000
Pass = Callable[[], object]


class PublishedAttention(nn.Module):
    """Dilated attention by the published steps, in the place of the registered variant."""

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        key_padding_mask: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Attend; a single slide has no padding."""
        return published_way(q, k, v)


def encoder(depth: int, *, published: bool = False) -> nn.Module:
    torch.manual_seed(0)
    config = {"type": "LongNet", "input_dim": TILE_WIDTH, "dropout": 0.0, "drop_path": 0.0}
    model: nn.Module = BACKBONES.build({**config, "depth": depth})
    for block in model.encoder.layers if published else ():
        block.self_attn.attention = PublishedAttention()
    return model


def slide(length: int) -> tuple[Tensor, Tensor]:
    """Return the embeddings and the grid of a slide of ``length - 1`` tiles."""
    generator = torch.Generator().manual_seed(length)
    side = int(length**0.5) + 1
    cells = torch.arange(length - 1)
    grid = torch.stack([cells % side, cells // side], dim=-1).double()
    return torch.randn(1, length - 1, TILE_WIDTH, generator=generator), grid[None]


def forward(model: nn.Module, tiles: tuple[Tensor, Tensor], bf16: bool = False) -> Pass:
    def way() -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out: Tensor = model(*tiles)
            return out

    return way


def both(model: nn.Module, tiles: tuple[Tensor, Tensor], bf16: bool = False) -> Pass:
    def way() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(*tiles).float().square().sum()
        loss.backward()
        model.zero_grad(set_to_none=True)

    return way


def measure(length: int, turns: int, depth: int) -> list[dict[str, Any]]:
    """Return one record a pass and way."""
    tiles = slide(length)
    plain, published, again = (
        encoder(depth, published=name == "published")
        for name in ("plain", "published", "checkpoint")
    )
    checkpoint_activations(again)
    passes: dict[str, dict[str, Pass]] = {
        "forward": {
            "gigakit": forward(plain, tiles),
            "bf16": forward(plain, tiles, bf16=True),
            "published": forward(published, tiles),
        },
        "forward+backward": {
            "checkpoint": both(again, tiles),
            "checkpoint bf16": both(again, tiles, bf16=True),
        },
    }
    if length <= ALL_WAYS_UP_TO:
        passes["forward+backward"] |= {
            "gigakit": both(plain, tiles),
            "published": both(published, tiles),
        }
    records = []
    for name, ways in passes.items():
        work = gflop_of(length, depth) * (1 if name == "forward" else 3)
        if length <= IN_TURNS_UP_TO:
            times = in_turns(ways, turns=turns)
            results = {way: (times[way], peak_mib(ways[way])) for way in ways}
        else:
            results = {way: once(ways[way]) for way in ways}
        for way in ways:
            records.append(record(length, name, way, work, *results[way]))
            print(json.dumps(records[-1]), flush=True)
    return records


def gflop_of(length: int, depth: int) -> float:
    """Return the GFLOPs of a forward: linear layers, and attention's real pairs."""
    linear = 2 * length * depth * 12 * WIDTH**2 + 2 * length * TILE_WIDTH * WIDTH
    attention = DilatedAttention().flops(length, HEADS, WIDTH // HEADS)
    return (linear + depth * attention) / 1e9


def record(
    length: int, name: str, way: str, work: float, times: Times, peak: float
) -> dict[str, Any]:
    return {
        "length": length,
        "pass": name,
        "way": way,
        "gflop": work,
        "cpu_s": times.cpu,
        "wall_s": times.wall,
        "peak_mib": peak,
    }


def table(records: list[dict[str, Any]], rate: float) -> str:
    lines = [
        "| T | pass | way | GFLOP | floor, CPU s | CPU s | times the floor | ratio to gigakit "
        "| peak MiB |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in records:
        base = [
            o["cpu_s"]
            for o in records
            if (o["length"], o["pass"], o["way"]) == (r["length"], r["pass"], "gigakit")
        ]
        ratio = f"{r['cpu_s'] / base[0]:.2f}" if base else ""
        floor = r["gflop"] * 1e9 / rate
        lines.append(
            f"| {r['length']:,} | {r['pass']} | {r['way']} | {r['gflop']:,.0f} | {floor:.2f} "
            f"| {r['cpu_s']:.2f} | {r['cpu_s'] / floor:.2f} | {ratio} "
            f"| {r['peak_mib']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1001, 4001, 10001])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--longest", type=int, default=70_122, help="0 leaves it out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return_large_blocks()
    started = time.process_time()
    encoder(arguments.depth)
    print(f"construction: {time.process_time() - started:.2f} CPU s")
    rate = matmul_peak(torch.device("cpu"), torch.float32)
    print(f"fp32 matmul rate of one thread: {rate / 1e9:.0f} GFLOP/s")
    records = []
    for length in arguments.lengths:
        records += measure(length, arguments.turns, arguments.depth)
    if arguments.longest:
        run = forward(encoder(arguments.depth), slide(arguments.longest))
        work = gflop_of(arguments.longest, arguments.depth)
        records.append(record(arguments.longest, "forward", "gigakit", work, *once(run)))
    print(table(records, rate))
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
