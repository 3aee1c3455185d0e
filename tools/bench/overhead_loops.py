"""The loops that ``engine_overhead.py`` compares: one model, one set of data, one optimiser."""

from __future__ import annotations

import hashlib
import math
import resource
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gigakit.data.samplers.resumable import ResumableSampler
from gigakit.registry import DATASETS, OBJECTIVES

LOG_INTERVAL = 10
WIDTH, SAMPLES, BATCH_SIZE, LR = 64, 512, 8, 1e-3
OPTIMIZER = {"type": "AdamW", "lr": LR, "weight_decay": 0.05, "fused": True}


@DATASETS.register_module()
class OverheadData(Dataset[dict[str, Tensor]]):
    """Vectors held in memory: data that cost next to nothing to read."""

    def __init__(self) -> None:
        self.metainfo = {"name": "overhead"}
        self.x = torch.randn(SAMPLES, WIDTH, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, key: tuple[int, int] | int) -> dict[str, Tensor]:
        return {"x": self.x[key[0] if isinstance(key, tuple) else key]}


@OBJECTIVES.register_module()
class OverheadModel(BaseModel):
    """A small network, the same in all loops, whose step costs a fraction of a millisecond."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor, mode: str = "loss") -> dict[str, Tensor]:
        """Return the loss of predicting the input from itself."""
        del mode
        return {"loss": (self.net(x) - x).square().mean()}


class Turns:
    """A loop's side of the turns: it works when it is told to, and tells what the work cost.

    Args:
        connection: receives the step to work up to, or ``None`` to report; gets the reports.
        folder: where the loop may write.
    """

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.connection, self.folder = connection, folder
        self.until = 0
        self.model: nn.Module | None = None
        self.save: Any = None
        self._wall = self._cpu = 0.0

    def at(self, step: int) -> None:
        """Say that ``step`` steps are made; where the turn ends, wait for the next one."""
        if step != self.until:
            return
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.connection.send({"wall": wall, "cpu": cpu})
        while (until := self.connection.recv()) is None:
            self.connection.send(self._state(step))
        self.until = until
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def _state(self, step: int) -> dict[str, Any]:
        # before the checkpoint is written, which takes memory of its own
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        path = self.save(step)
        return {
            "rss_mb": rss_mb,
            "checkpoint_bytes": path.stat().st_size,
            "weights": _digest(self.model.parameters() if self.model else ()),
        }


class TurnHook(Hook):
    """Give the steps of an engine their turns.

    Args:
        turns: the loop's side of them.
    """

    priority = "VERY_HIGH"

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def before_train_iter(self, runner: Any, **_: Any) -> None:
        """Begin a step, when it is its turn."""
        self.turns.at(runner.iter)


def bare(turns: Turns, steps: int) -> None:
    """Train by hand."""
    data = OverheadData()
    loader = DataLoader(data, BATCH_SIZE, sampler=ResumableSampler(data, seed=0))
    model = OverheadModel()
    decay = [p for p in model.parameters() if p.ndim > 1]
    no_decay = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay}, {"params": no_decay, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, weight_decay=0.05, fused=True)
    parameters = [*decay, *no_decay]

    def save(step: int) -> Path:
        path = turns.folder / f"{step}.pth"
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
        return path

    turns.model, turns.save = model, save
    for step, batch in enumerate(loader):
        turns.at(step)
        if step == steps:
            return
        loss = model(**batch)["loss"]
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if math.isfinite(loss.item()) and math.isfinite(norm.item()):
            torch.nn.utils.clip_grads_with_norm_(parameters, 1.0, norm)
            optimizer.step()
        optimizer.zero_grad()


def gigakit(turns: Turns, steps: int) -> None:
    """Train with gigakit's engine and its default hooks."""
    from gigakit.engine.checkpoint import checkpoint_path
    from gigakit.engine.train import train

    class Saves(TurnHook):
        """Give the steps their turns, and the turns a way to save."""

        def before_train(self, runner: Any) -> None:
            self.turns.model = runner.model

            def save(step: int) -> Path:
                runner.save_training_state(step, keep=2)
                return checkpoint_path(turns.folder, step)

            self.turns.save = save

    values = {
        "model": {"type": "OverheadModel"},
        "train_dataloader": {
            "batch_size": BATCH_SIZE,
            "num_workers": 0,
            "sampler": {"type": "ResumableSampler"},
            "dataset": {"type": "OverheadData"},
        },
        "train_cfg": {
            "type": "PretrainLoop",
            "epochs": 1 + steps * BATCH_SIZE // SAMPLES,
            "max_steps": steps,
        },
        "optim_wrapper": {
            "type": "GuardedOptimWrapper",
            "constructor": "GroupedOptimWrapperConstructor",
            "optimizer": OPTIMIZER,
            "clip_grad": {"max_norm": 1.0},
        },
        # the schedule is computed; its value stays
        "param_scheduler": {"type": "WarmupCosine", "warmup_epochs": 0, "final_lr": LR},
        "default_hooks": {
            "scalars": {"type": "ScalarsHook", "interval_steps": LOG_INTERVAL},
            "progress": {"type": "ProgressHook", "interval_steps": LOG_INTERVAL},
            "checkpoint": {"type": "SafeCheckpointHook", "interval_steps": None},
        },
        "custom_hooks": [Saves(turns)],
    }
    train(values, work_dir=turns.folder, config_text="# built by the benchmark\n")


def mmengine(turns: Turns, steps: int) -> None:
    """Train with mmengine's Runner as it comes."""
    from mmengine.runner import Runner

    class Saves(TurnHook):
        """Give the steps their turns, and the turns a way to save."""

        def before_train(self, runner: Any) -> None:
            self.turns.model = runner.model

            def save(step: int) -> Path:
                runner.save_checkpoint(str(turns.folder), f"{step}.pth", by_epoch=False)
                return turns.folder / f"{step}.pth"

            self.turns.save = save

    schedule = {"type": "CosineAnnealingLR", "T_max": steps, "eta_min": LR, "by_epoch": False}
    Runner(
        model=OverheadModel(),
        work_dir=str(turns.folder),
        train_dataloader={
            "batch_size": BATCH_SIZE,
            "num_workers": 0,
            "sampler": {"type": "InfiniteSampler"},
            "dataset": OverheadData(),
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"type": "IterBasedTrainLoop", "max_iters": steps},
        optim_wrapper={
            "type": "OptimWrapper",
            "optimizer": OPTIMIZER,
            "paramwise_cfg": {"bias_decay_mult": 0.0},
            "clip_grad": {"max_norm": 1.0},
        },
        param_scheduler=schedule,
        custom_hooks=[Saves(turns)],
        randomness={"seed": 0},
        experiment_name="overhead",
    ).train()


LOOPS = {"bare": bare, "gigakit": gigakit, "mmengine": mmengine}


def _digest(parameters: Iterable[Tensor]) -> str:
    hashed = hashlib.sha256()
    for parameter in parameters:
        hashed.update(parameter.detach().numpy().tobytes())
    return hashed.hexdigest()[:16]
