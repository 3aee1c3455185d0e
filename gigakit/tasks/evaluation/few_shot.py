"""Few-shot splits: some patients of each class to learn from, drawn several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.data.slide_labels import SlideLabels
from gigakit.tasks.evaluation.splits import Split


def few_shot(
    data: SlideLabels, splits: Sequence[Split], shots: int, *, draws: int = 5, seed: int = 0
) -> list[Split]:
    """Cut the train and val parts of each split to ``shots`` patients a class.

    The test patients stay, so that all numbers of shots are asked the same questions. Validation is
    cut too: more patients there than in training would choose what few shots cannot.

    Args:
        data: the slides, with classes.
        splits: the full ones.
        shots: patients a class.
        draws: of the patients, from each split.
        seed: of the draws.

    Raises:
        ConfigError: there are no classes, or a class has too few training patients.
    """
    if data.task.kind != "classification":
        raise ConfigError(
            f"few-shot needs classes, not {data.task.kind}", where="--shots", fix="leave it out"
        )
    return [
        Split(f"{split.name}-draw{draw}", _cut(data, split, shots, fold_seed=(seed, number, draw)))
        for number, split in enumerate(splits)
        for draw in range(draws)
    ]


def _cut(
    data: SlideLabels, split: Split, shots: int, *, fold_seed: tuple[int, int, int]
) -> np.ndarray:
    parts = np.where(split.parts == "test", "test", "").astype("<U5")
    seed, *place = fold_seed
    for label, name in enumerate(data.task.classes):
        for number, part in enumerate(("train", "val")):
            inside = (split.parts == part) & (data.targets[:, 0] == label)
            # a patient of two classes counts in the first
            patients = np.unique(data.patients[inside & ~_taken(data, parts, part)])
            if part == "train" and len(patients) < shots:
                raise ConfigError(
                    f"{split.name} has {len(patients)} training patients of class '{name}' for "
                    f"{shots} shots",
                    where="--shots",
                    fix=f"at most {len(patients)}",
                )
            drawn = random_generator(seed, *place, label, number).permutation(patients)[:shots]
            parts[inside & np.isin(data.patients, drawn)] = part
    return parts


def _taken(data: SlideLabels, parts: np.ndarray, part: str) -> np.ndarray:
    return np.isin(data.patients, np.unique(data.patients[parts == part]))
