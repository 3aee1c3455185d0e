"""What a large manifest costs by itself: seconds a row must not grow with the rows.

Reads a manifest, draws a shard, runs a cohort whose slides are all finished (the check of one real
tile file is timed beside), writes and reads the status file, and draws the slides of a plan, for
cohorts of several sizes. The slides' files do not exist; nothing here looks at them.

Usage:  python tools/bench/large_manifest.py [--rows 1000,10000,100000] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.tasks.plan import _stratified
from gigakit.wsi.cohort import SlideRow, read_cohort
from gigakit.wsi.executors.shard_executor import ShardExecutor
from gigakit.wsi.pipeline import run_cohort
from gigakit.wsi.sample import sample_path
from gigakit.wsi.status import read_status
from gigakit.wsi.tiling import TileSlides, TilingSettings, finished_table
from gigakit.wsi.work import SlideResult, SlideWork


@dataclass(frozen=True)
class Finished(SlideWork):
    """Work of which nothing is left."""

    folder: Path
    done: str = "seen"

    def finished(self, row: SlideRow) -> SlideResult:
        """Return that it was done before."""
        return SlideResult(row.slide_id, "skipped", 100)

    def work(self, row: SlideRow) -> SlideResult:
        """Never called."""
        raise AssertionError(row)


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = action()
    return time.process_time() - begin, result


def measure(rows: int, folder: Path) -> dict[str, float]:
    """Return CPU seconds of each step."""
    manifest = folder / "slides.csv"
    with manifest.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("slide_id", "path", "label"))
        writer.writerows((f"slide-{n:07}", f"/slides/{n:07}.svs", n % 5) for n in range(rows))
    taken: dict[str, float] = {}
    taken["read manifest"], cohort = timed(lambda: read_cohort(manifest))
    taken["draw a shard"], _ = timed(lambda: ShardExecutor(shard="3/64").select(cohort.slides))
    work = Finished(folder / f"out-{rows}")
    taken["run, all finished"], _ = timed(lambda: run_cohort(cohort, work))
    taken["read status"], slides = timed(lambda: read_status(work.folder))
    sizes = np.random.default_rng(0).integers(1, 10**9, rows)
    taken["draw a plan's probe"], _ = timed(lambda: _stratified(sizes, 20, 0))
    if len(slides) != rows:
        raise SystemExit(f"{len(slides)} rows of {rows} came back")
    return taken


def one_check(folder: Path) -> float:
    """Return the CPU seconds of asking whether one real slide is tiled."""
    settings = TilingSettings(segmenter={"type": "OtsuSegmenter"}, tiler={"type": "GridTiler"})
    tiles = folder / "tiles" / "x"
    row = SlideRow("sample", sample_path())
    TileSlides(settings, tiles).work(row)
    seconds, _ = timed(lambda: [finished_table(tiles / "sample.h5", row) for _ in range(100)])
    return seconds / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default="1000,10000,100000")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    counts = [int(text) for text in options.rows.split(",")]
    with tempfile.TemporaryDirectory() as name:
        check = one_check(Path(name))
        found = {count: measure(count, Path(name)) for count in counts}
    lines = ["| rows | " + " | ".join(f"{step}, µs a row" for step in found[counts[0]]) + " |"]
    lines.append("| --- " * (len(found[counts[0]]) + 1) + "|")
    for count, taken in found.items():
        cells = [f"{1e6 * seconds / count:.2f}" for seconds in taken.values()]
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    lines.append(f"asking a real tile file whether it is finished: {1e3 * check:.2f} ms")
    sys.stdout.write("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps({"check": check, "rows": found}, indent=2))


if __name__ == "__main__":
    main()
