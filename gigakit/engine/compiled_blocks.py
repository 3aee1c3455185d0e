"""Transformer blocks compiled one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gigakit.engine import compat
from gigakit.engine.activation_checkpointing import blocks_of
from gigakit.nn.attention.backends import DECIDED_ONCE


def compile_blocks(model: nn.Module, *, backend: str = "inductor") -> int:
    """Compile the computation of each block of a model, for the shapes it meets.

    Blocks alike share one compiled program a shape. Parameters keep their names, and what a wrapper
    does around a block, such as gathering its parameters or computing it again in the backward
    pass, stays outside. Steps whose FLOPs are counted run as they are.

    Args:
        model: see :func:`~gigakit.engine.activation_checkpointing.blocks_of`.
        backend: of ``torch.compile``.

    Returns:
        How many blocks.

    Raises:
        ConfigError: the model has no blocks.

    Source: torchtitan and DINOv3, which compile block by block.
    """
    for decided in DECIDED_ONCE:
        # a compiler would stop at what they ask torch, and at what they log
        torch.compiler.assume_constant_result(decided)  # type: ignore[no-untyped-call]
    blocks = blocks_of(model)
    for block in blocks:
        forward: Any = block.forward
        again = isinstance(forward, functools.partial) and forward.func is checkpoint
        inner = forward.args[0] if again else forward
        compiled = _unless_watched(inner, torch.compile(inner, dynamic=False, backend=backend))
        if again:
            compiled = functools.partial(checkpoint, compiled, **forward.keywords)
        block.forward = compiled
    return len(blocks)


def _unless_watched(plain: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Call the compiled form, but the plain one where every operation is to be seen.

    torch would take the plain one there too, and then for good.
    """

    @functools.wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        if compat.is_watched():
            return plain(*args, **kwargs)
        for value in (*args, *kwargs.values()):
            # places of tokens, as many as a batch happens to have: one program for all numbers
            if isinstance(value, torch.Tensor) and value.dtype == torch.long:
                torch._dynamo.maybe_mark_dynamic(value, 0)
        return compiled(*args, **kwargs)

    return forward
