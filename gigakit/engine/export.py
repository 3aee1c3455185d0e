"""Weights of a run as a file for others: safetensors, with the config beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gigakit import __version__
from gigakit.core.errors import CheckpointError
from gigakit.engine.checkpoint import FOLDER, checkpoint_step, find_resume, read_run_weights
from gigakit.nn.layouts import write_published
from gigakit.nn.weights import write_safetensors


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        path: the file.
        tensors: how many it holds.
        step: optimiser steps that made them.
    """

    path: Path
    tensors: int
    step: int


def export_weights(
    source: Path, out: Path | None = None, *, part: str | None = None, layout: str | None = None
) -> Exported:
    """Write the weights of a run's checkpoint, or a part of them, as safetensors.

    The metadata holds ``config`` (the text of the run's ``config.py``), ``step``, ``part`` and
    ``gigakit`` (its version). With a layout the file is a torch file, which has no metadata.

    Args:
        source: the folder of a run, whose newest valid checkpoint is taken, or one checkpoint.
        out: the file to write; by default in the run's folder, named by step and part.
        part: such as ``encoder``: the tensors under that name, without it.
        layout: one of :data:`gigakit.nn.layouts.LAYOUTS`, as which an encoder is written.

    Raises:
        ConfigError: an unknown layout.
        CheckpointError: there is no valid checkpoint, or no such part.
    """
    is_run = (source / FOLDER).is_dir()
    checkpoint = find_resume(source) if is_run else source
    if checkpoint is None:
        raise CheckpointError("holds no valid checkpoint", where=source / FOLDER)
    step = checkpoint_step(checkpoint)
    run = source if is_run else checkpoint.absolute().parent.parent
    weights = read_run_weights(checkpoint)
    if part is not None:
        weights = _part(weights, part, checkpoint)
    suffix = f"-{layout}.pth" if layout else ".safetensors"
    path = out or run / f"step-{step:08d}{f'-{part}' if part else ''}{suffix}"
    if layout is None:
        write_safetensors(weights, path, metadata=_metadata(run, step, part))
    else:
        write_published(weights, path, layout)
    return Exported(path, len(weights), step)


def _part(weights: dict[str, Tensor], part: str, where: Path) -> dict[str, Tensor]:
    prefix = f"{part}."
    found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if not found:
        names = sorted({name.split(".")[0] for name in weights})
        raise CheckpointError(
            f"has no part '{part}'", where=where, fix=f"its parts are {', '.join(names)}"
        )
    return found


def _metadata(run: Path, step: int, part: str | None) -> dict[str, str]:
    config = run / "config.py"
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    return {"config": text, "step": str(step), "part": part or "", "gigakit": __version__}
