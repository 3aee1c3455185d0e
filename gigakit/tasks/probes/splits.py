"""Splits of labelled tiles by case, where the data come without one."""

from __future__ import annotations

import numpy as np

from gigakit.core.seeding import random_generator

SHARES = {"train": 0.64, "val": 0.16, "test": 0.20}


def split_by_case(labels: np.ndarray, cases: np.ndarray, *, seed: int) -> np.ndarray:
    """Deal cases to train, val and test, each class of cases by itself.

    A case belongs to the class of most of its tiles (the first of equals). Of n cases of a class,
    ``round(0.20 n)`` are for testing and ``round(0.16 n)`` for validation, but at least one each as
    long as one is left to train on.

    Args:
        labels: ``(N,)`` int64.
        cases: ``(N,)`` str.
        seed: draws the cases.

    Returns:
        ``(N,)`` str.
    """
    names, index = np.unique(cases, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (index, labels), 1)
    classes = counts.argmax(axis=1)
    split = np.full(len(names), "train", dtype="<U5")
    for number in np.unique(classes):
        members = random_generator(seed, int(number)).permutation(np.flatnonzero(classes == number))
        test = min(max(1, round(SHARES["test"] * len(members))), len(members) - 1)
        val = min(max(1, round(SHARES["val"] * len(members))), len(members) - test - 1)
        split[members[:test]] = "test"
        split[members[test : test + val]] = "val"
    return split[index]
