"""Known bars of real cohorts by the frozen-probe path: mean-pooled features, logistic regression.

ucsb_breast, musk1  bags of vectors: five times ten folds by bag, one strength
ebhi_cases          any malignant tile of a case: mean and deviation of the colour and texture of
                    its tiles, or of an encoder's vectors, the given split, strength 1

Strengths and poolings are those of the known numbers; --choose lets validation choose strengths.

Each cohort is written as feature files and a table, then read as a user's.

Usage:  python tools/bench/pooled_baselines.py SHARED_DATA [--cohorts ucsb_breast,musk1,ebhi_cases]
                                               [--encoder NAME] [--tokens cls] [--choose]
                                               [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from gigakit.cli.probe_encoders import choose_encoders
from gigakit.data.slide_labels import read_slide_labels
from gigakit.tasks.evaluation.card import as_json, make_card
from gigakit.tasks.evaluation.probing import Probing
from gigakit.tasks.evaluation.protocol import Protocol
from gigakit.tasks.evaluation.slide_vectors import read_slide_vectors
from gigakit.tasks.probes.colour_texture import ColourTexture
from gigakit.tasks.probes.frozen_encoder import FrozenEncoder, TileEncoder

MALIGNANT = ("adenocarcinoma", "high_grade_in")
SHOWN = ("accuracy", "balanced accuracy", "macro AUROC")


def write_features(path: Path, features: np.ndarray) -> None:
    """Write tile features in a row, as a feature file."""
    with h5py.File(path, "w") as file:
        file["features"] = features.astype(np.float32)
        file["coords"] = np.stack([np.arange(len(features)) * 256, np.zeros(len(features))], 1)
        file["coords"].attrs["patch_size_level0"] = 256


def write_bags(folder: Path, archive: Path) -> Path:
    """Write a set of bags, a feature file each, and return the table of labels."""
    with np.load(archive) as arrays:
        features, bag_of, bags, labels = (
            arrays[name] for name in ("features", "bag_id", "bags", "bag_label")
        )
    for bag in bags:
        write_features(folder / f"bag{bag}.h5", features[bag_of == bag])
    rows = [(f"bag{bag}", f"bag{bag}", int(label)) for bag, label in zip(bags, labels, strict=True)]
    return _table(folder, ("slide_id", "patient_id", "label"), rows)


def write_cases(folder: Path, data: Path, encoder: TileEncoder) -> Path:
    """Write the cases of EBHI-Seg, what an encoder sees in their tiles, and return the table."""
    table = io.StringIO((data / "labels.csv").read_text(encoding="utf-8"))
    cases: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(table):
        cases.setdefault(row["case"], []).append(row)
    rows = []
    with zipfile.ZipFile(data / "tiles.zip") as archive:
        for case, tiles in cases.items():
            pixels = [_tile(archive, tile["tile"]) for tile in tiles]
            write_features(folder / f"case{case}.h5", encoder.embed(pixels))
            label = int(any(tile["label"] in MALIGNANT for tile in tiles))
            rows.append((f"case{case}", case, label, tiles[0]["split"]))
    return _table(folder, ("slide_id", "patient_id", "label", "split"), rows)


def _tile(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    data = np.frombuffer(archive.read(f"tiles/{name}.jpg"), dtype=np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{name} is no picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _table(folder: Path, header: tuple[str, ...], rows: list[Any]) -> Path:
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def measure(cohort: str, given: argparse.Namespace) -> dict[str, Any]:
    """Evaluate one cohort, and return its card as plain values."""
    data: Path = given.data
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        if cohort == "ebhi_cases":
            (choice,) = choose_encoders([given.encoder], [])
            encoder = FrozenEncoder(choice, tokens=given.tokens) if choice else ColourTexture()
            table = write_cases(folder, data / "ebhi_seg", encoder)
            protocol, settings, pool = Protocol(file=table), [1.0], "mean+std"
        else:
            table = write_bags(folder, data / "mil_bags" / f"{cohort}.npz")
            protocol, settings, pool = Protocol(folds=10, repeats=5), [0.1], "mean"
        labels = read_slide_labels(table, ["label"])
        vectors = read_slide_vectors(folder, labels.slides.tolist(), pool=pool)
        splits, _ = protocol.split(labels)
        strengths = None if given.choose else settings
        card = Probing("linear", vectors, labels, settings=strengths).over(splits)
        again = make_card(card.evaluation, facts={"cohort": cohort, "protocol": str(protocol)})
    return as_json(again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cohorts", default="ucsb_breast,musk1,ebhi_cases")
    parser.add_argument("--encoder", default="colour-texture", help="as gigakit probe takes it")
    parser.add_argument("--tokens", default="cls")
    parser.add_argument("--choose", action="store_true", help="strengths by validation")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cards = {cohort: measure(cohort, given) for cohort in given.cohorts.split(",")}
    for cohort, card in cards.items():
        print(f"{cohort}: {card['protocol']}")
        for name in SHOWN:
            score = card["scores"][name]
            spread = "" if score["sd_of_folds"] is None else f", folds ± {score['sd_of_folds']:.3f}"
            print(
                f"  {name:<18}{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
                f"{spread}, pooled {score['pooled']:.3f}, {score['patients']} patients"
            )
    if given.json:
        given.json.write_text(json.dumps(cards, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
