"""Tiles read at random places of a slide, as pretraining reads them, beside the step they feed.

read            CPU seconds of JpegTiffReader for a tile: `visit` neighbours of a random place at a
                time, on the grid, all shifted by one random offset of up to 256 level-0 px
step            CPU seconds of a tile in a training step of self-distillation, its encoder alone:
                forward and backward of the student on two crops of 224 px, forward of the teacher
share           read / (read + step): what streaming costs of a process that does both by itself

Augmentation, small crops, heads and losses come on top of a step, so a share is an upper bound.

Usage:  python tools/bench/tile_streaming.py SLIDE [--tiles 400] [--turns 3] [--batch 8]
                                             [--widths 192,384] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import torch
from measure import Times, in_turns
from slide_readers import SETTINGS, first, measure_random

from gigakit.registry import BACKBONES
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TileSlides

CROP_PX, CROPS, VISITS = 224, 2, (1, 4, 16)


def seconds_of_reading(slide: Path, tiles: int, turns: int) -> dict[int, float]:
    """Return CPU seconds a tile by tiles a visit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        out = folder / "tiles" / "grid"
        TileSlides(SETTINGS, out).work(SlideRow("slide", slide))
        table = first(TileTable.load(out / "slide.h5"), tiles)
        found = {}
        for visit in VISITS:
            taken = measure_random(slide, table, folder, visit, turns)
            found[visit] = taken.cpu / (len(table) // visit * visit)
    return found


def seconds_of_a_step(width: int, batch: int, turns: int) -> float:
    """Return CPU seconds a tile of an encoder's part of a training step."""
    sizes = {"image_size": CROP_PX, "width": width, "depth": 12, "heads": width // 64}
    student, teacher = (BACKBONES.build({"type": "VisionTransformer", **sizes}) for _ in range(2))
    pixels = torch.zeros(batch * CROPS, 3, CROP_PX, CROP_PX)

    def step() -> None:
        with torch.no_grad():
            teacher(pixels)
        student(pixels).sum().backward()
        student.zero_grad()

    taken: Times = in_turns({"step": step}, turns=turns)["step"]
    return taken.cpu / batch


def report(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = [
        "| ViT width (depth 12) | tiles a visit | read, CPU ms a tile | step, CPU ms a tile | "
        "share |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['width']} | {row['visit']} | {row['read'] * 1e3:.2f} | {row['step'] * 1e3:.0f} | "
        f"{row['share']:.2%} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--tiles", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--widths", default="192,384")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    reading = seconds_of_reading(given.slide, given.tiles, given.turns)
    rows = []
    for width in map(int, given.widths.split(",")):
        step = seconds_of_a_step(width, given.batch, given.turns)
        rows += [
            {"width": width, "visit": visit, "read": read, "step": step,
             "share": read / (read + step)}
            for visit, read in reading.items()
        ]  # fmt: skip
    print(report(rows))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
