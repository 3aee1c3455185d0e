"""A toy run with dropout and augmentation noise; as a script, processes that a test can kill."""

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn
from warm.late_imports import LATE_IMPORTS

from gigakit.core.errors import InterruptedRunError
from gigakit.core.seeding import random_generator
from gigakit.engine.checkpoint import list_checkpoints, load_checkpoint
from gigakit.engine.train import train
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.registry import DATASETS, HOOKS, METRICS, OBJECTIVES

WIDTH = 6


@DATASETS.register_module()
class ToyDataset(torch.utils.data.Dataset):
    metainfo: dict = {}

    def __init__(self, *, size=13, read_log=None, bad_draws=()):
        self.size, self.read_log, self.bad_draws = size, read_log, set(bad_draws)

    def __len__(self):
        return self.size

    def __getitem__(self, key):
        index, draw = key if isinstance(key, tuple) else (key, key)
        if self.read_log:
            with Path(self.read_log).open("a") as stream:
                stream.write(f"{draw}\n")
        noise = random_generator(7, draw).normal(size=WIDTH)
        x = torch.from_numpy(noise).float() + index / self.size
        return {"x": x * float("nan") if draw in self.bad_draws else x}


@OBJECTIVES.register_module()
class ToyObjective(BaseModel):
    def __init__(self, *, dropout=0.3):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, WIDTH))
        layers = (
            nn.Linear(WIDTH, 8),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.LayerNorm(8),
            nn.Linear(8, WIDTH),
        )
        self.blocks = nn.ModuleList([nn.Sequential(*layers)])

    def forward(self, x, mode="tensor"):
        prediction = self.blocks[0](x + self.cls_token)
        if mode == "loss":
            return {"loss": ((prediction - x) ** 2).mean()}
        return [{"error": float(e)} for e in ((prediction - x) ** 2).mean(dim=1)]


@OBJECTIVES.register_module()
class ShownToy(ToyObjective):
    """A toy objective that shows its features."""

    def health(self, x, **_others):
        return {"features": self.blocks[0](x + self.cls_token)}


@OBJECTIVES.register_module()
class ToyViews(BaseModel):
    """A toy objective on packed crops of two sizes, some patches of the first one masked."""

    def __init__(self, *, drop_path=0.0):
        super().__init__()
        self.backbone = VisionTransformer(
            image_size=16, patch_size=4, width=8, depth=2, heads=2, layer_scale=1.0, registers=1,
            maskable=True, drop_path=drop_path,
        )  # fmt: skip

    def forward(self, x, mode="tensor"):
        images = (x[:, :3, None, None] * torch.linspace(-1, 1, 16)).expand(-1, -1, 16, -1)
        masks = (torch.arange(16) % 3 == 0).expand(len(x), -1)
        views = self.backbone.forward_views([images, images[..., 4:12, 4:12]], [masks, None])
        error = sum(
            (view.cls - x.mean(dim=1, keepdim=True)).square().mean(dim=1)
            + view.patches.cos().mean(dim=(1, 2))
            + view.registers.square().mean(dim=(1, 2))
            for view in views
        )
        return {"loss": error.mean()} if mode == "loss" else [{"error": float(e)} for e in error]


@METRICS.register_module()
class ToyError(BaseMetric):
    def __init__(self):
        super().__init__(prefix="toy")

    def process(self, data_batch, data_samples):
        self.results += [sample["error"] for sample in data_samples]

    def compute_metrics(self, results):
        return {"error": sum(results) / len(results), "samples": len(results)}


@HOOKS.register_module()
class KillHook(Hook):
    """Send the process of one rank a signal in the middle of a step's hooks."""

    priority = "VERY_HIGH"

    def __init__(self, *, step=None, number=9, times=1, rank=0):
        self.step, self.number, self.times, self.rank = step, number, times, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 == self.step and runner.rank == self.rank:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@HOOKS.register_module()
class EndTrainingHook(Hook):
    """End training after a step, as one rank alone sees it."""

    def __init__(self, *, step, rank):
        self.step, self.rank = step, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 == self.step and runner.rank == self.rank:
            runner.train_loop.stop_training = True


def config(*, workers=0, epochs=5, batch_size=3, interval=4, log_interval=5, **changes):
    values = {
        "model": {"type": "ToyObjective"},
        "train_dataloader": {
            "batch_size": batch_size,
            "num_workers": workers,
            "sampler": {"type": "ResumableSampler"},
            "dataset": {"type": "ToyDataset"},
            "collate_fn": {"type": "default_collate"},
        },
        "val_dataloader": {
            "batch_size": 4,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": {"type": "ToyDataset", "size": 10},
            "collate_fn": {"type": "default_collate"},
        },
        "val_evaluator": {"type": "ToyError"},
        "val_cfg": {"type": "ValLoop"},
        "train_cfg": {"type": "PretrainLoop", "epochs": epochs},
        "optim_wrapper": {
            "type": "GuardedOptimWrapper",
            "constructor": "GroupedOptimWrapperConstructor",
            "optimizer": {"type": "AdamW", "lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.05},
            "clip_grad": {"max_norm": 1.0},
        },
        "param_scheduler": {"type": "WarmupCosine", "warmup_epochs": 1},
        "default_hooks": {
            "checkpoint": {"type": "SafeCheckpointHook", "interval_steps": interval, "keep": 2},
            "scalars": {"type": "ScalarsHook", "interval_steps": log_interval},
            "progress": {"type": "ProgressHook", "interval_steps": log_interval},
        },
        "randomness": {"seed": 3},
    }
    for key, value in changes.items():
        place = values
        *path, last = key.split("__")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return values


def logged(work_dir):
    """Scalars of each step and metric, those of speed left out."""
    rows = [
        json.loads(line) for line in (Path(work_dir) / "scalars.jsonl").read_text().splitlines()
    ]
    kept = ("step", "train/", "val/")
    return [{key: row[key] for key in row if key.startswith(kept)} for row in rows]


def digest(work_dir):
    """Digest of the newest checkpoint's weights, optimiser and schedule state, bit for bit."""
    state = load_checkpoint(list_checkpoints(Path(work_dir))[0])
    hashed = hashlib.sha256()

    def add(value):
        if isinstance(value, torch.Tensor):
            hashed.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                hashed.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for entry in value:
                add(entry)
        else:
            hashed.update(repr(value).encode())

    for key in ("state_dict", "optimizer", "param_schedulers"):
        add(state[key])
    return hashed.hexdigest()


def run(
    work_dir,
    *,
    workers=0,
    signal_at=None,
    number=9,
    rank=0,
    resume=False,
    init_from=None,
    hooks=(),
    **changes,
):
    """Make one run the way the command line does, and return its exit code."""
    hook = {"type": "KillHook", "step": signal_at, "number": number, "rank": rank}
    values = config(workers=workers, custom_hooks=[hook, *hooks], **changes)
    try:
        train(values, work_dir=Path(work_dir), resume=resume, init_from=init_from)
    except InterruptedRunError as error:
        return error.exit_code
    return 0


def start(arguments, rank, processes, port):
    """Fork a process that makes one run, as torchrun would start it if there are several."""
    child = os.fork()
    if child:
        return child
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    code = 70
    try:
        code = run(**arguments)
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve():
    """Make the runs that stdin asks for, each in processes of its own, imports done only once."""
    torch.set_num_threads(1)
    for name in LATE_IMPORTS:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        count = request["processes"]
        children = [
            start(request["arguments"], rank, count, request["port"]) for rank in range(count)
        ]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
