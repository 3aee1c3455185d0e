"""The names under which encoders' weights are published, and gigakit's own, both ways.

A tile encoder's tensors are named as timm names them, a slide encoder's as Prov-GigaPath does, so
those files load as they are. DINOv2's own code names a tile encoder's otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.core.files import atomic_path

# every encoder has one; what stands before it in its name stands before all of its tensors
_ANCHOR = "cls_token"
# DINOv2 stores blocks by chunk: blocks.<chunk>.<block>.<rest>
_CHUNKED = re.compile(r"^blocks\.\d+\.(\d+\..+)$")
_DINOV2 = {".mlp.w12.": ".mlp.fc1.", ".mlp.w3.": ".mlp.fc2."}
# it replaces masked patches in pretraining; embedding has none
_PRETRAINING_ONLY = ("mask_token",)


def encoder_state(state: Mapping[str, Tensor], *, pretraining: bool = False) -> dict[str, Tensor]:
    """Return a published encoder's tensors under gigakit's names.

    A prefix such as ``module.``, ``backbone.`` or ``slide_encoder.`` is taken off, and what lies
    outside of it (heads) is left out; DINOv2's names become timm's. Nothing else is dropped, so
    that what does not belong is told by the strict comparison that follows.

    Args:
        state: name to tensor, as read from the file.
        pretraining: keep the mask token too, which embedding has none of.
    """
    prefix = encoder_prefix(state) or ""
    inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    left_out = () if pretraining else _PRETRAINING_ONLY
    return {_timm_name(k): v for k, v in inside.items() if k not in left_out}


def encoder_prefix(state: Mapping[str, Tensor]) -> str | None:
    """Return what stands before the names of the one encoder in a file.

    Returns:
        The prefix, which may be empty; ``None`` if there is no encoder, or several, as in a run
        with a student and a teacher.
    """
    anchors = [name for name in state if name == _ANCHOR or name.endswith(f".{_ANCHOR}")]
    return anchors[0].removesuffix(_ANCHOR) if len(anchors) == 1 else None


def write_published(state: Mapping[str, Tensor], path: Path, layout: str) -> None:
    """Write an encoder's weights as a torch file, as their publishers' code reads it.

    Args:
        state: a tile or slide encoder's tensors under gigakit's names.
        path: the file.
        layout: ``published``: a slide encoder's names under ``model``, as in
            ``slide_encoder.pth``; a tile encoder's as timm reads them, as in
            ``pytorch_model.bin``. ``dinov2``: a tile encoder's as DINOv2's code reads them.

    Raises:
        ConfigError: an unknown layout.
        CheckpointError: these are not an encoder's weights, or have no such layout.
    """
    if layout not in LAYOUTS:
        raise ConfigError(
            f"unknown layout '{layout}'", where="--layout", fix=f"choose from {', '.join(LAYOUTS)}"
        )
    if _ANCHOR not in state:
        raise CheckpointError(
            "these weights are not those of one encoder, which have a cls_token",
            where=path,
            fix="add --part encoder, or the part of the run that is the encoder",
        )
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = LAYOUTS[layout](plain)
    # a stream, since torch writes the name of a file into it
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        torch.save(content, stream)


def _published(state: dict[str, Tensor]) -> dict[str, object]:
    is_slide = any(name.startswith("encoder.layers.") for name in state)
    # timm's encoder has no mask token and loads strictly
    plain = {name: value for name, value in state.items() if name not in _PRETRAINING_ONLY}
    return {"model": state} if is_slide else {**plain}


def _dinov2(state: dict[str, Tensor]) -> dict[str, object]:
    if not any(name.startswith("blocks.") for name in state):
        raise CheckpointError(
            "DINOv2's layout is that of tile encoders", where="--layout", fix="choose published"
        )
    # a plain MLP has the same names in both
    gated = any(_is_gated(name, state) for name in state)
    return {_dinov2_name(name) if gated else name: value for name, value in state.items()}


# how each layout nests and names an encoder's tensors
LAYOUTS: dict[str, Callable[[dict[str, Tensor]], dict[str, object]]] = {
    "published": _published,
    "dinov2": _dinov2,
}


def _timm_name(name: str) -> str:
    chunked = _CHUNKED.match(name)
    name = f"blocks.{chunked[1]}" if chunked else name
    for theirs, ours in _DINOV2.items():
        name = name.replace(theirs, ours)
    return name


def _dinov2_name(name: str) -> str:
    for theirs, ours in _DINOV2.items():
        name = name.replace(ours, theirs)
    return name


def _is_gated(name: str, state: Mapping[str, Tensor]) -> bool:
    """Tell a SwiGLU's first matrix, which has twice the rows that its second has columns."""
    if not name.endswith("mlp.fc1.weight"):
        return False
    second = state[name.replace("fc1", "fc2")]
    return len(state[name]) == 2 * second.shape[1]
