"""Cohorts drawn for tests: patients with one to three slides each."""

from __future__ import annotations

import numpy as np

from gigakit.data.slide_labels import SlideLabels, Task


def cohort(patients=60, classes=3, seed=0, task=None, targets=None):
    """Return slides of patients, whose class is theirs and whose names do not tell it."""
    generator = np.random.default_rng(seed)
    count = generator.integers(1, 4, patients)
    owner = np.repeat(np.arange(patients), count)
    label = generator.permutation(np.arange(patients) % classes)
    slides = np.array([f"slide{i:03d}" for i in range(len(owner))])
    if targets is None:
        targets = label[:, None].astype(float)
        task = Task("classification", ("grade",), tuple("abcdefg"[:classes]))
    return SlideLabels(slides, np.array([f"p{i:03d}" for i in owner]), targets[owner], task)


def write_table(path, data, extra=None):
    """Write a cohort as users do; ``extra`` are further columns."""
    extra = extra or {}
    lines = [",".join(["slide_id", "patient_id", *data.task.labels, *extra])]
    for row in range(len(data.slides)):
        target = data.targets[row]
        texts = (
            [data.task.classes[int(target[0])]]
            if data.task.classes
            else ["" if np.isnan(v) else f"{v:g}" for v in target]
        )
        lines.append(
            ",".join(
                [
                    data.slides[row],
                    data.patients[row],
                    *texts,
                    *(str(c[row]) for c in extra.values()),
                ]
            )
        )
    path.write_text("\n".join(lines) + "\n")
    return path
