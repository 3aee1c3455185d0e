"""Published encoders as the start of pretraining: what of a file an encoder can take, strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gigakit.core.errors import CheckpointError
from gigakit.nn.layouts import encoder_state
from gigakit.nn.position_interpolation import interpolate_positions
from gigakit.nn.weights import compare_weights

# what a file may lack: pretraining alone has it, or published encoders were trained without
_OPTIONAL = ("mask_token", "register_tokens")
_POSITIONS = "pos_embed"
_MASK = "mask_token"


@dataclass(frozen=True)
class EncoderStart:
    """What a file gives an encoder.

    Attributes:
        tensors: to load, under the encoder's names.
        initial: the encoder's tensors that the file has not; they keep their initial values.
        unused: the file's tensors that the encoder has no place for.
        resized: how positions were resized, empty if they were not.
    """

    tensors: Mapping[str, Tensor]
    initial: tuple[str, ...]
    unused: tuple[str, ...]
    resized: str


def start_encoder(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, where: Path
) -> EncoderStart:
    """Match a published tile encoder's tensors with those of an encoder that pretraining starts.

    All must be there and fit, but for the mask token and registers, which a file may lack, and the
    positions, which are resized to the encoder's grid, bicubic and antialiased. A mask token is
    left out where the encoder has none.

    Args:
        own: the encoder's tensors as built, by name.
        state: the file's, in any of the layouts of :mod:`gigakit.nn.layouts`.
        where: the file.

    Raises:
        CheckpointError: the file holds another architecture.
    """
    found = encoder_state(state, pretraining=True)
    unused = tuple(name for name in (_MASK,) if name in found and name not in own)
    taken = {name: tensor for name, tensor in found.items() if name not in unused}
    resized = ""
    if _POSITIONS in taken and _POSITIONS in own:
        taken[_POSITIONS], resized = _on_grid(taken[_POSITIONS], own[_POSITIONS])
    initial = tuple(name for name in _OPTIONAL if name in own and name not in taken)
    complaint = compare_weights({k: v for k, v in own.items() if k not in initial}, taken)
    if complaint:
        raise CheckpointError(
            f"is no start for this encoder: {complaint}",
            where=where,
            fix=f"the file has {_architecture(found)}, the encoder {_architecture(own)}",
        )
    tensors = {name: tensor.to(own[name].dtype) for name, tensor in taken.items()}
    return EncoderStart(tensors, initial, unused, resized)


def _on_grid(table: Tensor, own: Tensor) -> tuple[Tensor, str]:
    """Return positions for the grid of the encoder's own, and what was done to them."""
    sides = [
        math.isqrt(max(x.shape[1] - 1, 0)) if x.dim() == own.dim() else 0 for x in (table, own)
    ]
    square = all(
        side > 0 and side**2 == x.shape[1] - 1 for side, x in zip(sides, (table, own), strict=True)
    )
    if not square or sides[0] == sides[1]:
        return table, ""
    old, new = sides
    return (
        interpolate_positions(table, new, new, "antialiased"),
        f"positions resized from {old} x {old} to {new} x {new}",
    )


def _architecture(state: Mapping[str, Tensor]) -> str:
    """Describe a tile encoder by its tensors."""
    blocks = {name.split(".")[1] for name in state if name.startswith("blocks.")}
    if not blocks:
        return "no blocks of a tile encoder"
    first, second = (state.get(f"blocks.0.mlp.fc{layer}.weight") for layer in (1, 2))
    gated = first is not None and second is not None and first.shape[0] == 2 * second.shape[1]
    registers = state.get("register_tokens")
    return ", ".join(
        [
            f"width {state['cls_token'].shape[-1]}",
            f"{len(blocks)} blocks",
            _stem(state),
            "SwiGLU" if gated else "MLP",
            f"{0 if registers is None else registers.shape[1]} registers",
            "LayerScale" if "blocks.0.ls1.gamma" in state else "no LayerScale",
        ]
    )


def _stem(state: Mapping[str, Tensor]) -> str:
    projection = state.get("patch_embed.proj.weight")
    return "a convolutional stem" if projection is None else f"patches of {projection.shape[-1]} px"
