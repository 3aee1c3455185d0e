"""Weight files: strict loading from torch and safetensors files, and export."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gigakit.core.errors import CheckpointError
from gigakit.core.files import atomic_path
from gigakit.nn.layouts import encoder_state

# the wrappings that published files use
_WRAPPERS = ("state_dict", "model", "teacher")
_POSITIONS_ALONE = "1 misshapen (pos_embed "
_FIT = "give this encoder's own file, or its sizes in the config"
_FIT_POSITIONS = "set image_size to that of its training; crops may have another size"


def read_tensors(path: Path) -> Any:
    """Read what a safetensors or torch file holds, without executing code.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError("no such file", where=path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        # mapped, not copied: a file of gigabytes is read as far as it is used, and only once
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"cannot be read as tensors: {first_line}",
            where=path,
            fix="files that need code to load are refused; export a safetensors file",
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file without executing code.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors.
    """
    state = read_tensors(path)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError("holds no state dict", where=path)
    return state


def load_weights(module: nn.Module, path: Path, *, prefix: str = "") -> None:
    """Load a file into a module; every name and shape must fit.

    Args:
        module: what receives the weights.
        path: safetensors or torch file.
        prefix: take only the tensors under this prefix, without it.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape.
    """
    state = read_weights(path)
    if prefix:
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    complaint = compare_weights(module.state_dict(), state)
    if complaint:
        raise CheckpointError(f"does not fit {type(module).__name__}: {complaint}", where=path)
    module.load_state_dict(state)


def load_encoder(build: Callable[[], nn.Module], path: Path) -> nn.Module:
    """Build an encoder around a published file's weights, strictly, in float32.

    Nothing is initialised and nothing copied, so that an encoder of a billion parameters is there
    at once and takes its file's size in memory.

    Args:
        build: returns the encoder.
        path: safetensors or torch file in any of the layouts of :mod:`gigakit.nn.layouts`.

    Returns:
        The encoder, on the CPU.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape.
    """
    return encoder_of(build, encoder_state(read_weights(path)), path)


def encoder_of(
    build: Callable[[], nn.Module], state: Mapping[str, Tensor], where: Path
) -> nn.Module:
    """Build an encoder around tensors that have gigakit's names; see :func:`load_encoder`.

    Args:
        build: returns the encoder.
        state: its tensors by name.
        where: the file they come from, for errors.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape.
    """
    with torch.device("meta"):
        module = build()
    complaint = compare_weights(module.state_dict(), state)
    if complaint:
        raise CheckpointError(
            f"does not fit {type(module).__name__}: {complaint}",
            where=where,
            fix=_FIT_POSITIONS if complaint.startswith(_POSITIONS_ALONE) else _FIT,
        )
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return module


def compare_weights(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say how a state dict differs from the one expected; empty if it fits."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    parts = [
        f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", shapes))
        if names
    ]
    return ", ".join(parts)


def write_safetensors(
    state: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write weights as safetensors, atomically, with text metadata."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(plain, temporary, metadata=dict(metadata or {}))
