"""Seeding of every step, so that a resumed run draws what the uninterrupted one would."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook

from gigakit.core.seeding import fold_in
from gigakit.registry import HOOKS


@HOOKS.register_module()
class StatelessSeedHook(Hook):
    """Seed torch's generators before each step with ``fold_in(seed, rank, iteration)``.

    Dropout, drop path and masks drawn on the device then depend on the step alone, and differ from
    rank to rank. Validation has a seed of its own.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._device = get_device()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed a training step."""
        self._seed(fold_in(runner.seed, runner.rank, runner.iter))

    def before_val_epoch(self, runner: Any) -> None:
        """Seed a validation; the last word keeps it apart from every training step."""
        self._seed(fold_in(runner.seed, runner.rank, 0, 1))

    def _seed(self, seed: int) -> None:
        # torch.manual_seed formats a stack trace for each accelerator that is absent: 0.5 ms a step
        torch.default_generator.manual_seed(seed)
        if self._device != "cpu":
            torch.get_device_module(self._device).manual_seed(seed)
