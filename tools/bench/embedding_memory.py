"""Passing tiles through an encoder on this CPU, with freed memory kept, returned, or by glibc.

by glibc    glibc's own limits, as they stand once blocks of 32 MiB were freed
returned    tensors of 8 MiB and more go back to the system, as in gigakit's slide encoders
kept        freed tensors serve the next batch, as where gigakit embeds tiles

The ways take turns in one process, one batch unmeasured and two measured each. The floor is the
FLOPs of torch's counter at the rate of a large product of the same precision.

Usage:  python tools/bench/embedding_memory.py [--turns 5] [--threads 2] [--size small]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from measure import in_turns, memory_as
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gigakit.engine.matmul_peak import best_product_seconds
from gigakit.registry import BACKBONES

WAYS = ("by glibc", "returned", "kept")
# width, depth, heads, tiles a batch
SIZES = {"tiny": (192, 6, 3, 64), "small": (384, 12, 6, 32), "base": (768, 12, 12, 16)}


def encode(encoder: nn.Module, images: torch.Tensor, precision: str) -> None:
    """Pass a batch ``(B, 3, 224, 224)``."""
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        encoder(images)


def compare(size: str, precision: str, turns: int, tiles: int | None) -> None:
    """Print a row for each way of one encoder in one precision."""
    width, depth, heads, usual = SIZES[size]
    images = torch.randn(tiles or usual, 3, 224, 224)
    torch.manual_seed(0)
    encoder = BACKBONES.build(
        {"type": "VisionTransformer", "width": width, "depth": depth, "heads": heads}
    ).eval()
    with FlopCounterMode(display=False) as counter:
        encode(encoder, images, precision)
    square = torch.randn(2048, 2048)
    if precision == "bf16":
        square = square.bfloat16()
    peak = 2 * 2048**3 / best_product_seconds(square)
    floor = counter.get_total_flops() / peak / len(images)

    def twice() -> None:
        for _ in range(2):
            encode(encoder, images, precision)

    def prepare(name: str) -> None:
        memory_as(name)
        encode(encoder, images, precision)

    ways: dict[str, Callable[[], object]] = dict.fromkeys(WAYS, twice)
    times = in_turns(ways, turns=turns, before=prepare)
    for name, (cpu, wall) in times.items():
        each, base = wall / 2 / len(images), times["by glibc"]
        print(
            f"| {size} | {precision} | {name} | {1 / each:.1f} | {cpu / 2 / len(images):.4f} | "
            f"{base.wall / wall:.2f} (CPU {base.cpu / cpu:.2f}) | {floor / each:.0%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--tiles", type=int, help="tiles a batch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        "| encoder | precision | freed memory | tiles/s | CPU s a tile | by glibc / this | floor |"
    )
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for size in [arguments.size] if arguments.size else SIZES:
        for precision in ("fp32", "bf16"):
            compare(size, precision, arguments.turns, arguments.tiles)


if __name__ == "__main__":
    main()
