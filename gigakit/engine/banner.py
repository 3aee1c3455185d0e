"""The few lines that a run starts with."""

from __future__ import annotations

import inspect
import math
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from torch import nn

from gigakit.engine.matmul_peak import matmul_peak
from gigakit.engine.run_precision import compute_dtype
from gigakit.nn.attention.backends import explain_backend
from gigakit.registry import ATTENTIONS

MAX_LINES = 10
_LABEL = 12
# what is copied from the screen: the terminal breaks it, and gives it back in one piece
_WHOLE = ("run", "look")
_SHORT = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def banner_lines(runner: Any) -> list[str]:
    """Return what a user should know before the first step: a label and a text a line.

    Args:
        runner: a runner whose loop and optimiser are built; its ``banner`` comes first.
    """
    loop = runner.train_loop
    parameters = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    dtype = compute_dtype(runner.optim_wrapper)
    entries = {
        "start": runner.start_note,
        "model": f"{runner.model_name}, {parameters:,} trained parameters",
        "device": _device(runner.world_size, dtype),
        "attention": "; ".join(attention_choices(runner.model, dtype)),
        "steps": f"{loop.max_iters} of {_batch(loop, runner.world_size)}, "
        f"{loop.epochs} epochs of {loop.steps_per_epoch}",
        "run": _short(runner.work_path),
        "look": f"tensorboard --logdir {shlex.quote(_short(runner.work_path))}",
    }
    own = [f"{label:<{_LABEL}}{text}" for label, text in entries.items() if text]
    return [*runner.banner, *own]


def fit(lines: Sequence[str], width: int | None = None) -> list[str]:
    """Bring a banner into ten rows: where there is too much, notes are cut, then left out.

    Args:
        lines: of :func:`banner_lines`.
        width: columns of a terminal, at which lines are broken; ``None`` breaks none.
    """
    rows = [_wrap(line, width) for line in lines]
    excess = sum(_height(broken, width) for broken in rows) - MAX_LINES
    for shortest in (1, 0):
        for place in reversed(range(len(lines))):
            if lines[place].startswith("note") and excess > 0:
                kept = max(shortest, len(rows[place]) - excess)
                excess -= len(rows[place]) - kept
                rows[place] = _wrap(lines[place], width, kept) if kept else []
    return [row for broken in rows for row in broken]


def attention_choices(model: nn.Module, dtype: torch.dtype) -> list[str]:
    """Say, for each kind of attention in a model, which backend computes it and why.

    Args:
        model: whose attention variants are looked for.
        dtype: what the forward pass computes in.

    Raises:
        BackendUnavailableError: a variant names a backend that cannot run here.
    """
    kinds = tuple(kind for kind in ATTENTIONS.module_dict.values() if inspect.isclass(kind))
    device = torch.device(get_device())
    found: dict[str, None] = {}
    for module in model.modules():
        if isinstance(module, kinds):
            name = type(module).__name__
            if isinstance(backend := getattr(module, "backend", None), str):
                need_lse = bool(getattr(module, "needs_lse", False))
                name += f" on {explain_backend(backend, device, dtype, need_lse=need_lse)}"
            found[name] = None
    return list(found)


def _device(world_size: int, dtype: torch.dtype) -> str:
    device = torch.device(get_device())
    threads = torch.get_num_threads()
    name = f"cpu, {threads} thread{'s' * (threads > 1)}"
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
    peak = matmul_peak(device, dtype) / 1e12
    precision = f"{_SHORT[dtype]}, at most {peak:.3g} TFLOP/s in matmuls"
    return f"{world_size} × {name}, {precision} each" if world_size > 1 else f"{name}, {precision}"


def _batch(loop: Any, world_size: int) -> str:
    plan = loop.plan
    factors = [str(plan.batch_size or plan.sampler)]
    if world_size > 1:
        factors.append(f"{world_size} ranks")
    if loop.accumulation > 1:
        factors.append(f"{loop.accumulation} accumulated")
    product = " × ".join(factors)
    if plan.batch_size is None:
        return product
    return f"{loop.draws_per_step} samples" + (f" ({product})" if len(factors) > 1 else "")


def _wrap(line: str, width: int | None, rows: int | None = None) -> list[str]:
    if width is None or line.startswith(_WHOLE):
        return [line]
    return textwrap.wrap(
        line,
        max(width, 2 * _LABEL),
        subsequent_indent=" " * _LABEL,
        max_lines=rows,
        placeholder=" …",
        break_on_hyphens=False,
    )


def _height(rows: Sequence[str], width: int | None) -> int:
    return len(rows) if width is None else sum(math.ceil(len(row) / width) for row in rows)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
