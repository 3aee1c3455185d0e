"""The few lines that a run starts with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device

MAX_LINES = 10


def banner_lines(runner: Any) -> list[str]:
    """Return what a user should know before the first step, in at most ten lines.

    Args:
        runner: a runner whose loop and optimiser are built; its ``banner`` comes first.
    """
    loop = runner.train_loop
    batch = f"{loop.dataloader.batch_size} × {runner.world_size} ranks × {loop.accumulation}"
    parameters = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    own = [
        f"{'model':<12}{runner.model_name}, {parameters:,} trained parameters",
        f"{'device':<12}{_device(runner.world_size)}",
        f"{'batch':<12}{loop.draws_per_step} ({batch} accumulated)",
        f"{'steps':<12}{loop.max_iters} ({loop.epochs} epochs of {loop.steps_per_epoch})",
        f"{'run':<12}{_short(runner.work_path)}",
        f"{'look':<12}tensorboard --logdir {_short(runner.work_path)}",
    ]
    if runner.start_note:
        own.insert(0, f"{'start':<12}{runner.start_note}")
    return [*runner.banner[: MAX_LINES - len(own)], *own]


def _device(world_size: int) -> str:
    device = get_device()
    if device == "cuda":
        device = torch.cuda.get_device_name()
    name = f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device
    return f"{world_size} × {name}" if world_size > 1 else name


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
