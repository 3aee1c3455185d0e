"""The published linear probe: one layer, stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gigakit.core.seeding import fold_in
from gigakit.data.slide_labels import Task

_STEPS, _BATCH, _DECAY = 4000, 128, 0.01


def fit(
    features: np.ndarray, targets: np.ndarray, task: Task, setting: float, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a linear layer on vectors as they are: 4,000 steps of 128 drawn with replacement.

    SGD without momentum, weight decay 0.01, learning rate by a half cosine to 0.

    Args:
        features: ``(N, D)``.
        targets: ``(N, 1)``, numbers of classes.
        task: a classification.
        setting: the learning rate, 0.02 as published.
        seed: of weights and batches.

    Returns:
        What predicts ``(M, C)`` of ``(M, D)``.

    Source: Prov-GigaPath's released linear probe on PCam.
    Differs: the last step counts; the published program keeps that of the best weighted F1 on
        validation, every 100 steps.
    """
    generator = torch.Generator().manual_seed(fold_in(seed, 0))
    x, y = torch.from_numpy(features), torch.from_numpy(targets[:, 0].astype(np.int64))
    # the global generator is not drawn from
    layer = nn.Linear(x.shape[1], len(task.classes), device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(x.shape[1])
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    optimizer = torch.optim.SGD(layer.parameters(), lr=setting, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        batch = torch.randint(len(x), (_BATCH,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(layer(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()

    def predict(asked: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = layer(torch.from_numpy(asked)).softmax(dim=1).double().numpy()
        return found

    return predict
