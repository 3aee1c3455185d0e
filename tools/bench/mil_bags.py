"""Multiple-instance learning on real bags, cross-validated, beside pooled logistic regression.

Bags come as npz with ``features`` (N, D), ``bag_id`` (N,), ``bags`` (B,) and ``bag_label`` (B,).
Each fold's features are scaled by its training bags alone, and the recipe ``tasks/abmil`` is
trained on them, with one setting for all sets. Nothing is selected: every bag is tested once a
repeat, by the weights after the last step. The baseline has the same folds: logistic regression on
each bag's mean.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from gigakit.config import load_config
from gigakit.engine.run_data import OWN_KEYS, fill_in, prepare
from gigakit.engine.train import train
from gigakit.wsi.features import write_features
from gigakit.wsi.tiles import TileTable

SETTING = {
    # Ilse et al. 2018, the network for feature vectors
    "model.aggregator.widths": [256, 128, 64],
    "model.aggregator.attention_width": 64,
    "optim_wrapper.optimizer.lr": 5e-4,
    "optim_wrapper.optimizer.weight_decay": 0.01,
    "train_dataloader.batch_size": 8,
    "test_dataloader.batch_size": 8,
    "train_dataloader.dataset.keep_in_memory": True,
    "target.columns": ["label"],
    "default_hooks.checkpoint.interval_steps": None,
    "default_hooks.scalars.interval_steps": 1000,
}
WAYS: dict[str, dict[str, Any]] = {
    "ABMIL": {"model.aggregator.gated": False},
    "ABMIL, gated": {"model.aggregator.gated": True},
    "mean pooling": {"model.aggregator": {"type": "MeanPooling", "_delete_": True}},
}
DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bags", type=Path, nargs="+", help="npz files")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["ABMIL", "ABMIL, gated"])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    print("| bags | way | accuracy (95 % over bags) | by repeat | AUROC |")
    print("| --- | --- | --- | --- | ---: |")
    figures = []
    for path in given.bags:
        with np.load(path) as file:
            data = dict(file)
        results: dict[str, list[np.ndarray]] = {}
        for repeat in range(given.repeats):
            splitter = StratifiedKFold(given.folds, shuffle=True, random_state=repeat)
            folds = [test for _, test in splitter.split(data["bags"], data["bag_label"])]
            results.setdefault("pooled logistic regression", []).append(pooled(data, folds))
            for way in given.ways:
                told = cross_validate(data, folds, WAYS[way], given.epochs, repeat)
                results.setdefault(way, []).append(told)
        for way, told in results.items():
            figure = scores(data["bag_label"], np.stack(told))
            figures.append({"bags": path.stem, "way": way, **figure})
            print(row(figures[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


def scores(labels: np.ndarray, told: np.ndarray) -> dict[str, Any]:
    """Return accuracy and AUROC of probabilities ``(repeats, B)``: means, and an interval."""
    right = (told > 0.5) == (labels > 0)  # noqa: PLR2004
    drawn = np.random.default_rng(0).integers(len(labels), size=(DRAWS, len(labels)))
    low, high = np.percentile(right.mean(axis=0)[drawn].mean(axis=1), [2.5, 97.5])
    return {
        "accuracy": float(right.mean()),
        "low": float(low),
        "high": float(high),
        "by_repeat": [float(one.mean()) for one in right],
        "auroc": float(np.mean([roc_auc_score(labels, one) for one in told])),
    }


def row(figure: dict[str, Any]) -> str:
    interval = f"{figure['accuracy']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
    repeats = " ".join(f"{one:.3f}" for one in figure["by_repeat"])
    return (
        f"| {figure['bags']} | {figure['way']} | {interval} | {repeats} | {figure['auroc']:.3f} |"
    )


def bag_rows(data: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [np.flatnonzero(data["bag_id"] == bag) for bag in data["bags"]]


def pooled(data: dict[str, np.ndarray], folds: list[np.ndarray]) -> np.ndarray:
    """Return the probabilities of the baseline."""
    means = np.stack([data["features"][rows].mean(axis=0) for rows in bag_rows(data)])
    told = np.zeros(len(means))
    for test in folds:
        training = np.setdiff1d(np.arange(len(means)), test)
        mean, deviation = means[training].mean(axis=0), means[training].std(axis=0) + 1e-6
        scaled = (means - mean) / deviation
        model = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
        model.fit(scaled[training], data["bag_label"][training])
        told[test] = model.predict_proba(scaled[test])[:, 1]
    return told


def cross_validate(
    data: dict[str, np.ndarray],
    folds: list[np.ndarray],
    way: dict[str, Any],
    epochs: int,
    seed: int,
) -> np.ndarray:
    """Return each bag's probability by the model of its fold."""
    told = np.zeros(len(data["bags"]))
    for number, test in enumerate(folds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_fold(data, test, folder)
            values = load_config("tasks/abmil", preset={**SETTING, **way}).values
            values["features"], values["labels"] = str(folder), str(folder / "labels.csv")
            values["randomness"]["seed"] = 1000 * seed + number
            values["train_cfg"]["epochs"] = epochs
            fill_in(values, prepare(values, lambda _line: None))
            plain = {key: value for key, value in values.items() if key not in OWN_KEYS}
            logging.getLogger("gigakit").setLevel(logging.ERROR)
            with contextlib.redirect_stderr(io.StringIO()):
                train(plain, work_dir=folder / "run")
            with (folder / "run" / "predictions.csv").open(encoding="utf-8") as stream:
                for line in csv.DictReader(stream):
                    told[int(line["slide_id"])] = float(line["probability_1"])
        sys.stderr.write(".")
        sys.stderr.flush()
    return told


def write_fold(data: dict[str, np.ndarray], test: np.ndarray, folder: Path) -> None:
    """Write the bags as feature files, scaled by the training bags, and their table."""
    bags = bag_rows(data)
    training = np.concatenate([rows for bag, rows in enumerate(bags) if bag not in test])
    known = data["features"][training]
    scaled = (data["features"] - known.mean(axis=0)) / (known.std(axis=0) + 1e-6)
    lines = ["slide_id,patient_id,split,label"]
    for bag, rows in enumerate(bags):
        # bags have no places: their tiles lie in a row
        grid = np.stack([np.arange(len(rows)), np.zeros(len(rows))], axis=1)
        table = TileTable.from_grid(str(bag), grid)
        write_features(folder / f"{bag}.h5", np.clip(scaled[rows], -20, 20), table)
        part = "test" if bag in test else "train"
        lines.append(f"{bag},{bag},{part},{int(data['bag_label'][bag])}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
