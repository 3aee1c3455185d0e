"""What an attention variant does, seen from outside: which tokens a query weighs, and how much.

An output is linear in the values, so its gradient with respect to them is the attention itself.
That is exact for any variant, whatever its segments, branches and merges, and needs no code of its
own in any of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def attention_weights(variant: nn.Module, q: Tensor, k: Tensor, queries: Sequence[int]) -> Tensor:
    """Return how some queries weigh all tokens.

    Each query's output is watched in a channel of its own, so one pass serves up to D of them.

    Args:
        variant: an attention variant.
        q: queries ``(1, T, H, D)``.
        k: keys ``(1, T, H, D)``.
        queries: positions of at most D tokens.

    Returns:
        ``(len(queries), T, H)``: weights of the tokens for each query and head; a query's weights
        sum to 1 unless zero keys share in its softmax.

    Raises:
        ValueError: more queries than channels.
    """
    if len(queries) > q.shape[-1]:
        raise ValueError(f"{len(queries)} queries, but {q.shape[-1]} channels")
    # validation may run in inference mode, whose tensors cannot be differentiated
    with torch.inference_mode(False), torch.enable_grad():
        values = torch.zeros_like(q, requires_grad=True)
        out = variant(q.clone(), k.clone(), values)
        watched = sum(out[0, query, :, channel].sum() for channel, query in enumerate(queries))
        (gradient,) = torch.autograd.grad(watched, values)
    return gradient[0, ..., : len(queries)].movedim(-1, 0)


@contextlib.contextmanager
def captured_inputs(variant: nn.Module, call: int = -1) -> Iterator[list[Tensor]]:
    """Keep the queries and keys of one call of a variant while a network runs.

    Blocks share their variant, so the call is the number of the block.

    Args:
        variant: an attention variant.
        call: which call, from 0; -1 is the last.

    Yields:
        A list that holds the queries and the keys ``(B, T, H, D)`` afterwards.
    """
    kept: list[Tensor] = []
    calls = 0

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], _named: dict[str, Any]) -> None:
        nonlocal calls
        if call in (-1, calls):
            kept[:] = [x.detach() for x in inputs[:2]]
        calls += 1

    handle = variant.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield kept
    finally:
        handle.remove()
