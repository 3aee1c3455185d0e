"""The whole protocol of a slide-level task on synthetic slides of realistic length.

protocol   ``gigakit evaluate RECIPE``: splits, a run a fold, card; each fold's wall time beside the
           time that it trained, the share of its steps that waited for data, and its peak memory
slides     one slide of 10,000 and one of 70,000 tiles: seconds to read it, to predict, and to train
           a step on it, and what reading is of that when nothing overlaps

Slides have a log-normal number of tiles (mean 8,090, at most 70,122, as the paper's corpus) and
embeddings in float16 in which a class shifts one tile in twenty.

Usage:  python tools/bench/protocol.py [--recipe tasks/abmil] [--slides 200] [--folds 10]
                                       [--epochs 1] [--width 384] [--mean 8090] [--jobs 1]
                                       [--lengths 10000,70000] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from measure import once

from gigakit.config import load_config
from gigakit.data.feature_folder import FeatureFolder
from gigakit.registry import OBJECTIVES

LARGEST, SPREAD, MARKED = 70_122, 0.9, 0.05


def lengths_of(slides: int, mean: float, generator: np.random.Generator) -> np.ndarray:
    """Draw numbers of tiles, log-normal with the given mean, cut at the largest known slide."""
    drawn = generator.lognormal(math.log(mean) - SPREAD**2 / 2, SPREAD, slides)
    return np.clip(drawn.astype(np.int64), 16, LARGEST)


def write_slide(path: Path, tiles: int, width: int, label: int, seed: int) -> None:
    """Write the features of a slide, a square of tiles."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((tiles, width), dtype=np.float32)
    marked = generator.random(tiles) < MARKED
    features[marked, :8] += 2.0 * label
    side = math.isqrt(tiles - 1) + 1
    grid = np.stack([np.arange(tiles) % side, np.arange(tiles) // side], axis=1)
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = features.astype(np.float16), grid * 256
        file["grid"] = grid.astype(np.float64)


def write_cohort(folder: Path, slides: int, width: int, mean: float) -> dict[str, Any]:
    """Write features and the table of a cohort, and return what it came to."""
    lengths = lengths_of(slides, mean, np.random.default_rng(0))
    (folder / "features").mkdir(parents=True)
    rows = []
    for number, tiles in enumerate(lengths.tolist()):
        write_slide(folder / "features" / f"s{number}.h5", tiles, width, number % 2, number)
        rows.append([f"s{number}", f"p{number}", "ab"[number % 2]])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["slide_id", "patient_id", "label"], *rows])
    size = sum(path.stat().st_size for path in (folder / "features").iterdir())
    return {
        "slides": slides,
        "tiles_mean": float(lengths.mean()),
        "tiles_most": int(lengths.max()),
        "gigabytes": size / 1e9,
    }


def run_protocol(folder: Path, recipe: str, folds: int, epochs: int, jobs: int) -> dict[str, Any]:
    """Run ``gigakit evaluate``, and return the figures of its folds."""
    out = folder / "evaluated"
    command = [
        sys.executable, "-m", "gigakit", "evaluate", recipe, "--features", str(folder / "features"),
        "--labels", str(folder / "labels.csv"), "--label", "label", "--folds", str(folds),
        "--jobs", str(jobs), "--set", f"train_cfg.epochs={epochs}", "--out", str(out),
    ]  # fmt: skip
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    runs = [_read_run(path) for path in sorted((out / "folds").iterdir())]
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    return {"wall_seconds": wall, "folds": runs, "auroc": card["scores"]["macro AUROC"]["value"]}


def _read_run(folder: Path) -> dict[str, float]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    lines = (folder / "scalars.jsonl").read_text(encoding="utf-8").splitlines()
    waits = [one["perf/data_wait_share"] for one in map(json.loads, lines) if _waited(one)]
    return {
        "seconds": result["seconds"],
        "steps": result["steps"],
        "peak_memory_mb": result["peak_memory_mb"],
        "data_wait_share": float(np.mean(waits)) if waits else math.nan,
    }


def _waited(entry: dict[str, Any]) -> bool:
    return "perf/data_wait_share" in entry


def measure_slide(folder: Path, recipe: str, tiles: int, width: int) -> dict[str, float]:
    """Time one slide, and the memory that it needs: read, predict, and train a step."""
    place = folder / f"long{tiles}"
    place.mkdir()
    write_slide(place / "slide.h5", tiles, width, 1, 0)
    files = FeatureFolder(place)
    config = load_config(recipe, ()).values["model"]
    model = OBJECTIVES.build({**config, "input_dim": width, "output_dim": 2})
    stored = files.read(place / "slide.h5")
    batch = {
        "features": torch.from_numpy(stored.features)[None],
        "grid": torch.from_numpy(stored.grid)[None],
        "label": torch.tensor([1]),
    }

    def train() -> None:
        model.train()
        model.zero_grad()
        losses = model(**batch, mode="loss")
        sum(losses.values()).backward()

    def predict() -> None:
        model.eval()
        with torch.inference_mode():
            model(**batch, mode="tensor")

    found: dict[str, float] = {"tiles": tiles}
    ways = {"read": lambda: files.read(place / "slide.h5"), "predict": predict, "train": train}
    for name, way in ways.items():
        # the first call also pays for what is done once
        way()
        times, peak = once(way)
        found |= {f"{name}_seconds": times.cpu, f"{name}_mib": peak}
    return found


def show(cohort: dict[str, Any], protocol: dict[str, Any], slides: list[dict[str, float]]) -> None:
    """Print the figures."""
    print(
        f"{cohort['slides']} slides, mean {cohort['tiles_mean']:.0f} tiles, at most "
        f"{cohort['tiles_most']}, {cohort['gigabytes']:.2f} GB"
    )
    folds = protocol["folds"]
    trained = sum(fold["seconds"] for fold in folds)
    print(
        f"{len(folds)} folds: {protocol['wall_seconds']:.0f} s by the clock, {trained:.0f} s of it "
        f"in runs ({trained / protocol['wall_seconds']:.0%}); start, predictions, card the rest"
    )
    waited = np.mean([fold["data_wait_share"] for fold in folds])
    print(
        f"waiting for data: {waited:.1%} of the steps' time; peak memory of a run "
        f"{max(fold['peak_memory_mb'] for fold in folds):.0f} MiB; AUROC {protocol['auroc']:.3f}"
    )
    print("| tiles | read, CPU s | predict, CPU s | train, CPU s | slides a CPU s | reading is | "
          "predict, MiB | train, MiB |")  # fmt: skip
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in slides:
        both = one["read_seconds"] + one["train_seconds"]
        print(
            f"| {one['tiles']:,.0f} | {one['read_seconds']:.3f} | {one['predict_seconds']:.3f} | "
            f"{one['train_seconds']:.3f} | {1 / both:.2f} | {one['read_seconds'] / both:.0%} | "
            f"{one['predict_mib']:.0f} | {one['train_mib']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", default="tasks/abmil")
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--mean", type=float, default=8090)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--lengths", default="10000,70000")
    parser.add_argument("--folder", type=Path, help="where the cohort goes and stays")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        folder = given.folder or Path(root)
        cohort = write_cohort(folder, given.slides, given.width, given.mean)
        protocol = run_protocol(folder, given.recipe, given.folds, given.epochs, given.jobs)
        lengths = [int(text) for text in given.lengths.split(",")]
        slides = [measure_slide(folder, given.recipe, n, given.width) for n in lengths]
    show(cohort, protocol, slides)
    if given.json:
        figures = {"cohort": cohort, "protocol": protocol, "slides": slides}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
