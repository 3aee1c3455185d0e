"""A probe on paper: JSON, a page, the predictions and pictures."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gigakit.core.files import atomic_path, write_json, write_text
from gigakit.tasks.evaluation.bootstrap import Score
from gigakit.tasks.probes.pictures import confusion_picture, neighbours_picture
from gigakit.tasks.probes.probe import NEIGHBOURS, REPORTED_NEIGHBOURS, ProbeResult
from gigakit.tasks.probes.scores import NAMES
from gigakit.tasks.probes.tile_collection import TileCollection, counts

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def as_json(tiles: TileCollection, results: Sequence[ProbeResult]) -> dict[str, Any]:
    """Return everything as plain values; what is not a number is ``None``."""
    return {
        "tiles": counts(tiles),
        "classes": list(tiles.classes),
        "notes": tiles.notes,
        "warnings": tiles.warnings,
        "encoders": [
            {
                "name": one.name,
                "width": one.data.features.shape[1],
                "linear": {**_scores(one.linear), "strength": one.strength},
                f"knn{REPORTED_NEIGHBOURS}": _scores(one.knn),
                "knn": {str(k): _plain(found) for k, found in one.by_neighbours.items()},
                "health": _plain(one.health),
                "confusion": one.confusion.tolist(),
                "difference": None if one.difference is None else _scores(one.difference),
                **one.facts,
            }
            for one in results
        ],
    }


def tables(results: Sequence[ProbeResult]) -> list[Table]:
    """Return what is shown: title, header and rows of each table."""
    shown: list[Table] = [
        (
            "linear probe",
            ("encoder", "numbers", *NAMES, "C"),
            [
                (
                    one.name,
                    str(one.data.features.shape[1]),
                    *(str(one.linear[name]) for name in NAMES),
                    f"{one.strength:g}",
                )
                for one in results
            ],
        ),
        (
            f"{REPORTED_NEIGHBOURS} nearest neighbours, weighted",
            ("encoder", *NAMES),
            [(one.name, *(str(one.knn[name]) for name in NAMES)) for one in results],
        ),
        (
            "balanced accuracy by number of neighbours",
            ("encoder", *(str(k) for k in NEIGHBOURS)),
            [
                (one.name, *(f"{one.by_neighbours[k][NAMES[1]]:.3f}" for k in NEIGHBOURS))
                for one in results
            ],
        ),
        (
            "without labels, of all tiles",
            ("encoder", *results[0].health),
            [(one.name, *(f"{value:.3g}" for value in one.health.values())) for one in results],
        ),
    ]
    compared = [
        (one.name, *(_signed(one.difference[name]) for name in NAMES))
        for one in results
        if one.difference is not None
    ]
    if compared:
        title = f"linear probe, difference to {results[0].name} on the same draws of cases"
        shown.append((title, ("encoder", *NAMES), compared))
    return shown


def write_report(
    folder: Path,
    tiles: TileCollection,
    results: Sequence[ProbeResult],
    maps: Mapping[str, np.ndarray],
) -> None:
    """Write ``probe.json``, ``probe.md``, ``predictions.csv`` and pictures of each encoder.

    Args:
        folder: where.
        tiles: what was probed, a row of each encoder's embeddings for each.
        results: of each encoder.
        maps: pictures of patch tokens, by encoder.
    """
    write_json(folder / "probe.json", as_json(tiles, results))
    write_text(folder / "predictions.csv", _predictions(tiles, results))
    pictures: dict[str, str] = {}
    for one in results:
        drawn = {
            "confusion": confusion_picture(
                one.confusion, tiles.classes, f"{one.name}: linear probe, test tiles"
            ),
            "neighbours": neighbours_picture(one.data, tiles.pixels),
        }
        if one.name in maps:
            drawn["patches"] = maps[one.name]
        for what, picture in drawn.items():
            name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', one.name)}-{what}.png"
            _write_picture(folder / name, picture)
            pictures[f"{one.name}: {what}"] = name
    write_text(folder / "probe.md", _page(tiles, results, pictures))


def _page(
    tiles: TileCollection, results: Sequence[ProbeResult], pictures: Mapping[str, str]
) -> str:
    lines = ["# Probe", "", f"{counts(tiles)}.", ""]
    lines += [f"- {note}" for note in tiles.notes]
    lines += [f"- **warning**: {warning}" for warning in tiles.warnings]
    lines += ["- in brackets: 95 % intervals over cases of the test split"]
    for title, header, rows in tables(results):
        lines += ["", f"## {title[0].upper()}{title[1:]}", ""]
        lines += [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    for title, name in pictures.items():
        lines += ["", f"![{title}]({name})"]
    return "\n".join(lines) + "\n"


def _predictions(tiles: TileCollection, results: Sequence[ProbeResult]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["tile", "label", "case", *(one.name for one in results)])
    test = np.flatnonzero(results[0].data.part("test"))
    predicted = [one.probabilities["linear"].argmax(axis=1) for one in results]
    for row, tile in enumerate(test):
        told = [tiles.classes[one[row]] for one in predicted]
        label = tiles.classes[tiles.labels[tile]]
        writer.writerow([tiles.names[tile], label, tiles.cases[tile], *told])
    return stream.getvalue()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _signed(score: Score) -> str:
    return f"{score.value:+.3f} ({score.low:+.3f} to {score.high:+.3f})"


def _scores(found: Mapping[str, Score]) -> dict[str, Any]:
    return {name: _plain(asdict(score)) for name, score in found.items()}


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _write_picture(path: Path, picture: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if done:
            temporary.write_bytes(data.tobytes())
