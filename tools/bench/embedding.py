"""Embedding a slide's tiles: decoding and model overlapped, beside the longer of the two alone.

decode       the tiles are read and transformed, nothing else
model        the same batches, in memory, pass the encoder
one by one   a batch is decoded, then embedded
gigakit      TileEmbedding.batches: the next batches are decoded while the model computes
floor        the longer of decode and model, which no overlap can beat

All ways take turns in one process, on one torch thread; decoding has another thread. Times are by
the clock, since overlap is about nothing else; CPU seconds are beside them.

Usage:  python tools/bench/embedding.py SLIDE [--tiles 256] [--turns 3] [--widths 192,384]
                                        [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import in_turns

from gigakit.config import load_checked
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.registry import TASKS
from gigakit.tasks.inference import inference
from gigakit.tasks.tile_embedding import TileEmbedding
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import index_folder, tile_cohort

BATCH = 32


def tile(slide: Path, folder: Path, task: TileEmbedding, tiles: int) -> tuple[TileTable, Path]:
    """Tile a slide, and return a run of its tiles and the folder of its index."""
    made = tile_cohort(Cohort("bench", (SlideRow("slide", slide),)), task.tiling, folder)
    table = TileTable.load(made.folder / "slide.h5")
    begin = max(0, (len(table) - tiles) // 2)
    chosen = np.zeros(len(table), dtype=bool)
    chosen[begin : begin + tiles] = True
    return table.select(chosen), index_folder(made.folder)


def measure(slide: Path, width: int, tiles: int, turns: int) -> dict[str, Any]:
    """Time all ways with an encoder of one width."""
    preparation = load_checked("gigapath_slide", (), section=None).values["preparation"]
    preparation["encoder"].update(width=width, depth=12, heads=width // 64)
    task: TileEmbedding = TASKS.build(
        {**preparation, "weights": None, "batch_size": BATCH, "device": "cpu"}
    )
    with tempfile.TemporaryDirectory() as folder:
        table, index = tile(slide, Path(folder), task, tiles)
        model = task.model.untrained_encoder()

        def pixels() -> SlideTiles:
            return SlideTiles(
                path=slide, table=table, transform=task.model.transform, index_folder=index
            )

        def one_by_one() -> None:
            source = pixels()
            for begin in range(0, len(table), BATCH):
                end = min(begin + BATCH, len(table))
                batch = torch.stack([source[i][0] for i in range(begin, end)])
                with inference(task.model.device, task.model.precision):
                    model(batch)

        def decode() -> None:
            source = pixels()
            for i in range(len(table)):
                source[i]

        held = batches_of(pixels(), len(table))

        def compute() -> None:
            for batch in held:
                with inference(task.model.device, task.model.precision):
                    model(batch)

        def overlapped() -> None:
            for _ in task.model.batches(pixels()):
                pass

        ways: dict[str, Callable[[], object]] = {
            "decode": decode, "model": compute, "one by one": one_by_one, "gigakit": overlapped,
        }  # fmt: skip
        times = in_turns(ways, turns=turns)
        waited = task.model.waited.seconds / (turns + 1)
    floor = max(times["decode"].wall, times["model"].wall)
    return {
        "width": width, "tiles": len(table), "times": times, "floor": floor,
        "gigakit / floor": times["gigakit"].wall / floor,
        "one by one / gigakit": times["one by one"].wall / times["gigakit"].wall,
        "waited": waited / times["gigakit"].wall,
    }  # fmt: skip


def batches_of(source: SlideTiles, count: int) -> list[torch.Tensor]:
    """Return a slide's tiles in batches, in memory."""
    return [
        torch.stack([source[i][0] for i in range(begin, min(begin + BATCH, count))])
        for begin in range(0, count, BATCH)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--tiles", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--widths", default="192,384")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [
        measure(options.slide, int(width), options.tiles, options.turns)
        for width in options.widths.split(",")
    ]
    columns = ("decode", "model", "one by one", "gigakit")
    head = [*(f"{name} s" for name in columns), "gigakit / floor", "one by one / gigakit", "waited"]
    lines = ["| ViT width | " + " | ".join(head) + " |", "| --- " * (len(head) + 1) + "|"]
    for row in found:
        cells = [f"{row['times'][name].wall:.2f}" for name in columns]
        cells += [f"{row[ratio]:.2f}" for ratio in head[4:6]]
        lines.append(f"| {row['width']} | " + " | ".join([*cells, f"{row['waited']:.0%}"]) + " |")
    sys.stdout.write("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
