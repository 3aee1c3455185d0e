"""A run with a checkpoint of hundreds of megabytes that measures the host memory it needs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

from gigakit.engine.train import train
from gigakit.registry import DATASETS, HOOKS, OBJECTIVES

ROWS, WIDTH = 26_000, 1_000


@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, key: Any) -> dict[str, Any]:
        return {"index": key[0]}


@OBJECTIVES.register_module()
class BigObjective(BaseModel):
    """One matrix of 104 MB; with the optimiser's two averages the checkpoint has 312 MB."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(ROWS, WIDTH))

    def forward(self, index: torch.Tensor, mode: str = "tensor") -> Any:
        return {"loss": self.table[index].sum()}


@HOOKS.register_module()
class MemoryHook(Hook):
    """Measure by how many bytes the resident set grows at its highest, in a load and in a save."""

    # just before the checkpoint is written
    priority = "LOW"

    def __init__(self, *, file: str) -> None:
        self.file, self.grown = Path(file), {}

    def before_run(self, runner: Any) -> None:
        self.before = _restart()

    def before_train(self, runner: Any) -> None:
        self.grown["load"] = _peak() - self.before

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        # gradients are none of the save's
        runner.optim_wrapper.zero_grad(set_to_none=True)
        self.before = _restart()

    def after_train(self, runner: Any) -> None:
        self.grown["save"] = _peak() - self.before
        self.file.write_text(json.dumps(self.grown))


def main(folder: Path) -> None:
    """Make one step, then resume it for another; leave what each part measured."""
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for steps in (1, 2):
        values = {
            "model": {"type": "BigObjective"},
            "train_dataloader": {
                "batch_size": 1,
                "num_workers": 0,
                "sampler": {"type": "ResumableSampler"},
                "dataset": {"type": "Numbers"},
                "collate_fn": {"type": "default_collate"},
            },
            "train_cfg": {"type": "PretrainLoop", "epochs": 1, "max_steps": steps},
            "optim_wrapper": {
                "type": "GuardedOptimWrapper",
                "constructor": "GroupedOptimWrapperConstructor",
                "optimizer": {"type": "AdamW", "lr": 1e-3},
            },
            "custom_hooks": [{"type": "MemoryHook", "file": str(folder / f"{steps}.json")}],
        }
        train(values, work_dir=folder / "run", resume=steps > 1)


def _restart() -> int:
    # 5 sets the peak back to what is resident now
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
