"""Stands in for ``gigakit train``: predicts from the labels, the better the larger ``lr``."""

from __future__ import annotations

import ast
import csv
import json
import math
import sys
from pathlib import Path


def main(arguments):
    """Read the split, and write predictions and a result; fail where a file asks for it."""
    settings = {}
    for place, argument in enumerate(arguments):
        if argument == "--set":
            key, _, value = arguments[place + 1].partition("=")
            try:
                settings[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                settings[key] = value
    folder = Path(arguments[arguments.index("--work-dir") + 1])
    fold = settings["target.split_column"]
    with (folder.parent / "calls").open("a") as stream:
        stream.write(f"{folder.name} {fold}\n")
    if (Path(settings["features"]) / f"fail-{fold}").exists():
        sys.exit("error: the loss is not finite")
    with Path(settings["splits"]).open() as stream:
        parts = {row["slide_id"]: row[fold] for row in csv.DictReader(stream)}
    with Path(settings["labels"]).open() as stream:
        rows = list(csv.DictReader(stream))
    (label,) = settings["target.columns"]
    classes = sorted({row[label] for row in rows})
    rate = float(settings.get("optim_wrapper.optimizer.lr", 1e-3))
    lines = [["slide_id", "patient_id", "split", f"label_{label}"]]
    lines[0] += [f"probability_{name}" for name in classes]
    for number, row in enumerate(rows):
        if parts[row["slide_id"]] not in ("val", "test"):
            continue
        noise = [math.sin(7.3 * number + 3.1 * place) for place in range(len(classes))]
        votes = [
            math.exp(n + 1000 * rate * (name == row[label]))
            for n, name in zip(noise, classes, strict=True)
        ]
        keys = [row["slide_id"], row["patient_id"], parts[row["slide_id"]], row[label]]
        lines.append([*keys, *(vote / sum(votes) for vote in votes)])
    with (folder / "predictions.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    result = {"status": "done", "steps": 7, "seconds": 1.6}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
