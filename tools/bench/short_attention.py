"""Attention of short sequences on this CPU: whole score matrices beside torch's flash kernel.

Forward and backward of one layer on the tokens of 224-px and 96-px crops, in turns, one thread,
with float32 products as torch has them by default and by oneDNN (``FastMatmulHook``), and in
bfloat16.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from measure import in_turns
from tile_pretraining import kernels

from gigakit.engine.matmul_peak import best_product_seconds
from gigakit.nn.attention.backends import attend

HEADS, WIDTH = 6, 64
# sequences, tokens of each: crops of 224 px and of 96 px, and on to where blocks are better
SHAPES = ((8, 197), (32, 37), (4, 512), (2, 1025))
WAYS = {
    "float32": ("highest", torch.float32),
    "float32, oneDNN": ("medium", torch.float32),
    "bfloat16": ("highest", torch.bfloat16),
}


def layer(sequences: int, tokens: int, dtype: torch.dtype, backend: str) -> Callable[[], None]:
    """Return a forward and backward pass of attention by a backend."""
    generator = torch.Generator().manual_seed(0)
    packed = torch.randn(sequences, tokens, 3, HEADS, WIDTH, generator=generator)
    packed = packed.to(dtype).requires_grad_()

    def run() -> None:
        out = attend(*packed.unbind(2), backend=backend)
        out.backward(out.detach())

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| products | sequences x tokens | math, CPU ms | flash, CPU ms | flash / math | floor |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, (switch, dtype) in WAYS.items():
        with kernels(switch):
            peak = 2 * 1024**3 / best_product_seconds(torch.randn(1024, 1024).to(dtype))
            for sequences, tokens in SHAPES:
                times = in_turns(
                    {way: layer(sequences, tokens, dtype, way) for way in ("math", "flash")},
                    turns=arguments.turns,
                )
                # two products forward, four backward
                floor = 3 * 4 * sequences * tokens**2 * HEADS * WIDTH / peak
                math, flash = times["math"].cpu, times["flash"].cpu
                print(
                    f"| {name} | {sequences} x {tokens} | {1e3 * math:.1f} | {1e3 * flash:.1f} | "
                    f"{flash / math:.2f} | {1e3 * floor:.1f} |"
                )


if __name__ == "__main__":
    main()
