"""Splits by patient: cross-validation and random draws, stratified, with validation patients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import fold_in
from gigakit.data.slide_labels import SlideLabels
from gigakit.data.tile_table import SPLITS
from gigakit.tasks.evaluation.strata import patient_strata

# of the patients, as published: 70 / 10 / 20 (Prov-GigaPath, Methods)
PUBLISHED = (0.7, 0.1, 0.2)
_NAMED = 5


@dataclass(frozen=True)
class Split:
    """Which slides a run learns from, chooses by and is tested on.

    Args:
        name: such as ``fold3`` or ``repeat1-fold3``.
        parts: ``(N,)`` str: ``train``, ``val``, ``test``, or nothing for a slide that is not used.
    """

    name: str
    parts: np.ndarray

    def rows(self, *parts: str) -> np.ndarray:
        """Return the slides of some parts."""
        return np.flatnonzero(np.isin(self.parts, parts))


def cross_validation(
    data: SlideLabels, folds: int, *, repeats: int = 1, val: float = 0.1, seed: int = 0
) -> list[Split]:
    """Split k-fold by patient: in each repeat every patient is tested exactly once.

    Patients are dealt by scikit-learn's ``StratifiedGroupKFold``; of each fold's other patients
    some are drawn for validation, stratified too.

    Args:
        data: the slides.
        folds: k.
        repeats: of all folds, each dealt anew.
        val: share of all patients for validation.
        seed: of everything drawn.

    Raises:
        ConfigError: too few patients, in all or of a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    _check_counts(data, folds)
    names, strata = patient_strata(data, folds)
    splits = []
    for repeat in range(repeats):
        dealer = StratifiedGroupKFold(
            folds, shuffle=True, random_state=fold_in(seed, repeat) % 2**32
        )
        with warnings.catch_warnings():
            # a stratum smaller than k is told by our own check where it matters
            warnings.filterwarnings("ignore", message="The least populated class")
            dealt = list(dealer.split(names, strata, groups=names))
        for fold, (rest, test) in enumerate(dealt):
            name = f"repeat{repeat}-fold{fold}" if repeats > 1 else f"fold{fold}"
            held = _carve(names[rest], strata[rest], val * len(names), fold_in(seed, repeat, fold))
            splits.append(Split(name, _parts(data, held, set(names[test].tolist()))))
    return splits


def random_splits(
    data: SlideLabels,
    draws: int,
    *,
    fractions: tuple[float, float, float] = PUBLISHED,
    seed: int = 0,
) -> list[Split]:
    """Draw train, val and test patients anew each time, stratified; as the paper's ten folds.

    Args:
        data: the slides.
        draws: how many splits.
        fractions: of the patients: train, val, test.
        seed: of everything drawn.

    Raises:
        ConfigError: fractions that are none, or too few patients, in all or of a class.
    """
    if min(fractions) < 0 or not math.isclose(sum(fractions), 1) or not fractions[0] * fractions[2]:
        raise ConfigError(
            f"fractions {'/'.join(f'{one:g}' for one in fractions)} are no parts of a whole",
            where="--fractions",
            fix="such as 70/10/20",
        )
    _check_counts(data, 2)
    names, strata = patient_strata(data, 2)
    splits = []
    for draw in range(draws):
        drawn = fold_in(seed, draw)
        test = _carve(names, strata, fractions[2] * len(names), fold_in(drawn, 0))
        rest = ~np.isin(names, list(test))
        held = _carve(names[rest], strata[rest], fractions[1] * len(names), fold_in(drawn, 1))
        splits.append(Split(f"draw{draw}", _parts(data, held, test)))
    return splits


def with_validation(data: SlideLabels, split: Split, val: float, seed: int) -> Split:
    """Return a split whose validation patients are drawn from its training patients."""
    train = np.isin(split.parts, ("train",))
    inside = data.select(np.flatnonzero(train))
    names, strata = patient_strata(inside, 2)
    held = _carve(names, strata, val * len(np.unique(data.patients)), seed)
    parts = np.where(train & np.isin(data.patients, list(held)), "val", split.parts)
    return Split(split.name, parts)


def rounds_of(data: SlideLabels, splits: Sequence[Split]) -> list[int]:
    """Return the round of each split: within one no patient is tested twice.

    The folds of a cross-validation are one round; random draws that share patients are one each.
    """
    tested: list[set[str]] = []
    rounds = []
    for split in splits:
        patients = set(data.patients[split.rows("test")].tolist())
        if not tested or tested[-1] & patients:
            tested.append(set())
        tested[-1] |= patients
        rounds.append(len(tested) - 1)
    return rounds


def check_splits(data: SlideLabels, splits: Sequence[Split], where: object = None) -> list[str]:
    """Refuse splits that leak or cannot be learnt from; return what else should be known.

    Raises:
        ConfigError: a patient is in two parts of a split, a part is missing, or a class is not in
            training.
    """
    notes = []
    for split in splits:
        _refuse_leaks(data, split, where)
        for part in SPLITS:
            if not len(split.rows(part)):
                raise ConfigError(f"{split.name} has no slide in {part}", where=where)
        if data.task.kind != "classification":
            continue
        for part in SPLITS:
            present = np.unique(data.targets[split.rows(part), 0]).astype(int)
            lacking = [c for i, c in enumerate(data.task.classes) if i not in present]
            if lacking and part == "train":
                raise ConfigError(
                    f"{split.name} has no slide of class '{lacking[0]}' to train on",
                    where=where,
                    fix="use fewer folds, or leave the class out",
                )
            if lacking:
                notes.append(f"{split.name} has no {part} slide of class {', '.join(lacking)}")
    return notes


def _refuse_leaks(data: SlideLabels, split: Split, where: object) -> None:
    parts: dict[str, set[str]] = {}
    for patient, part in zip(data.patients.tolist(), split.parts.tolist(), strict=True):
        if part:
            parts.setdefault(patient, set()).add(part)
    leaking = sorted(patient for patient, found in parts.items() if len(found) > 1)
    if leaking:
        more = f" and {len(leaking) - _NAMED} more" if len(leaking) > _NAMED else ""
        shared = " and ".join(sorted(parts[leaking[0]], key=SPLITS.index))
        raise ConfigError(
            f"{split.name} leaks patients: {', '.join(leaking[:_NAMED])}{more} "
            f"(the first is in {shared})",
            where=where,
            fix="split by patient",
        )


def _check_counts(data: SlideLabels, folds: int) -> None:
    patients = len(np.unique(data.patients))
    if folds < 2 or patients < max(folds, 3):  # noqa: PLR2004
        raise ConfigError(
            f"{patients} patients cannot be split {folds}-fold",
            where="--folds",
            fix="at least 2 folds, and as many patients as folds",
        )
    if data.task.kind != "classification":
        return
    for number, name in enumerate(data.task.classes):
        count = len(np.unique(data.patients[data.targets[:, 0] == number]))
        # one to test, and one to learn from
        if count < max(folds, 2):
            raise ConfigError(
                f"class '{name}' has {count} patients, too few for {folds} folds",
                where="--folds",
                fix=f"at most {count} folds, or leave the class out"
                if count > 1
                else "leave the class out",
            )


def _carve(names: np.ndarray, strata: np.ndarray, count: float, seed: int) -> set[str]:
    """Draw about ``count`` patients, stratified as far as each stratum allows."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    wanted = min(max(1, round(count)), len(names) - 1)
    _, index, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    # lonely patients form a stratum of their own, if there are two
    merged = np.where(sizes[index] < 2, -1, strata)  # noqa: PLR2004
    groups = np.unique(merged, return_counts=True)[1]
    able = groups.min() > 1 and len(groups) <= min(wanted, len(names) - wanted)
    _, drawn = train_test_split(
        names, test_size=wanted, stratify=merged if able else None, random_state=seed % 2**32
    )
    return set(drawn.tolist())


def _parts(data: SlideLabels, val: set[str], test: set[str]) -> np.ndarray:
    parts = ["test" if p in test else "val" if p in val else "train" for p in data.patients]
    return np.array(parts, dtype="<U5")
