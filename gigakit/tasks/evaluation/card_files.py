"""The card on disk: ``card.json``, ``card.md``, predictions, pictures and TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.files import atomic_path, write_json, write_text
from gigakit.core.tables import read_rows
from gigakit.tasks.evaluation.card import Card, as_json
from gigakit.tasks.evaluation.card_page import page
from gigakit.tasks.evaluation.evaluation import Evaluation, FoldResult, Unit
from gigakit.tasks.evaluation.plots import figures
from gigakit.tasks.evaluation.predictions import (
    FILE,
    joined,
    read_predictions,
    write_predictions,
)

JSON, PAGE = "card.json", "card.md"
_EVENTS = "events.out.tfevents.*"


def write_card(folder: Path, card: Card) -> None:
    """Write the card and what it was made of; an earlier card in the folder is replaced.

    ``predictions.csv`` holds the test predictions of all folds, with the columns ``fold`` and
    ``round``, which is what :func:`read_evaluation` reads.

    Args:
        folder: where.
        card: the numbers.
    """
    found = card.evaluation
    folds = {
        "fold": np.concatenate([np.full(len(f.predictions), f.name) for f in found.folds]),
        "round": np.concatenate([np.full(len(f.predictions), f.round) for f in found.folds]),
    }
    write_predictions(folder / FILE, joined([f.predictions for f in found.folds]), folds)
    pictures = {}
    for name, figure in figures(found).items():
        with atomic_path(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png")
        pictures[name] = f"{name}.png"
    text = page(card, pictures)
    write_json(folder / JSON, as_json(card))
    write_text(folder / PAGE, text)
    _write_events(folder, card, text, list(pictures.values()))


def read_evaluation(path: Path) -> Evaluation:
    """Read the predictions of a card.

    Args:
        path: its folder, or its ``card.json``.

    Raises:
        ConfigError: there is no card, or its predictions are damaged.
    """
    folder = path.parent if path.name == JSON else path
    try:
        told = json.loads((folder / JSON).read_text(encoding="utf-8"))
        name, unit, areas = str(told["name"]), _unit(told["scores"]), told["areas"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "holds no card", where=folder, fix="make it with gigakit evaluate"
        ) from error
    found = read_predictions(folder / FILE)
    rows = [row for _, row in read_rows(folder / FILE, "fold", "round")]
    folds = np.array([row["fold"] for row in rows])
    tested = []
    for fold in dict.fromkeys(folds.tolist()):
        own = np.flatnonzero(folds == fold)
        tested.append(FoldResult(fold, int(rows[own[0]]["round"]), found.select(own)))
    return Evaluation(name, tuple(tested), unit, "pooled" if areas == "pooled" else "folds")


def _unit(scores: dict[str, dict[str, str]]) -> Unit:
    return "slide" if next(iter(scores.values()))["unit"] == "slide" else "patient"


def _write_events(folder: Path, card: Card, text: str, pictures: list[str]) -> None:
    """Write scalars, pictures and the page for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

    # an earlier card's would be shown beside these
    for old in folder.glob(_EVENTS):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for name, score in card.scores.items():
            tag = name.replace(" ", "_")
            for part in ("value", "low", "high"):
                writer.add_scalar(f"card/{tag}/{part}", getattr(score, part), 0)
            for number, fold in enumerate(card.folds):
                writer.add_scalar(f"folds/{tag}", fold[name], number)
        for picture in pictures:
            drawn = cv2.imread(str(folder / picture))
            if drawn is not None:
                rgb = cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB)
                writer.add_image(f"card/{Path(picture).stem}", rgb, 0, dataformats="HWC")
        writer.add_text("card", text)
