"""Activation checkpointing: less memory for one more forward pass of each block."""

from __future__ import annotations

import functools

from torch import nn
from torch.utils.checkpoint import checkpoint

from gigakit.core.errors import ConfigError


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the repeated parts of a network: the entries of its outermost ``nn.ModuleList``s.

    They are what is recomputed, and what is sharded, as one piece. A list without parameters, such
    as an objective's losses, holds no blocks.

    Raises:
        ConfigError: there is none.
    """
    blocks: list[nn.Module] = []
    for module in model.children():
        if isinstance(module, nn.ModuleList):
            blocks += [entry for entry in module if next(entry.parameters(), None) is not None]
        elif any(isinstance(inner, nn.ModuleList) for inner in module.modules()):
            blocks += blocks_of(module)
    if not blocks:
        raise ConfigError(
            f"{type(model).__name__} has no list of blocks",
            where="model_wrapper_cfg",
            fix="keep the network's blocks in an nn.ModuleList, or leave the wrapper out",
        )
    return blocks


def checkpoint_activations(model: nn.Module) -> None:
    """Keep only the inputs of each block for the backward pass, and compute the rest again.

    Results are bit-identical: random numbers and autocast are restored for the second pass. The
    names of parameters do not change.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    for block in blocks_of(model):
        # use_reentrant=True would lose keyword arguments and gradients of frozen inputs
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
