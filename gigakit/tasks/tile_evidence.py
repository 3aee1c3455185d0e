"""Which tiles a slide-level prediction rests on: attention, and contributions to each output.

Shapes: L tiles, O outputs, H width of a tile as it is weighed.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gigakit.nn.aggregators.aggregated import Aggregated
from gigakit.nn.aggregators.long_net_aggregator import LongNetAggregator
from gigakit.nn.attention.inspection import attention_weights, captured_inputs
from gigakit.nn.heads.linear_head import LinearHead


@dataclass(frozen=True)
class TileEvidence:
    """What a model makes of one slide's tiles.

    Args:
        outputs: ``(O,)`` float32: logits, a value in training deviations, or a risk.
        attention: ``(O, L)``, or ``(1, L)`` where all outputs share it; ``None``: there is none.
        contribution: ``(O, L)``: by how much each tile raises each output; with ``bias`` they sum
            to the output. ``None``: it cannot be told exactly.
        bias: ``(O,)``, what an output is without tiles; ``None`` with the contributions.
        attention_is: what the weights are, in a few words.
        missing: why there is no attention or no contribution.
    """

    outputs: np.ndarray
    attention: np.ndarray | None
    contribution: np.ndarray | None
    bias: np.ndarray | None
    attention_is: str
    missing: tuple[str, ...]


def tile_evidence(model: Any, features: Tensor, grid: Tensor) -> TileEvidence:
    """Ask a model about one slide.

    Formula, for weights a that sum to 1 over tiles h and a linear head (w, b)::

        output_o = b_o + sum_k a_k w_o^T h_k        contribution of tile k: a_k w_o^T h_k

    Args:
        model: a :class:`~gigakit.tasks.objectives.slide_prediction.SlidePrediction`; it is left in
            evaluation mode.
        features: ``(L, D)`` tile embeddings.
        grid: ``(L, 2)`` positions in tiles.
    """
    model.eval()
    batch, places = features[None], grid[None]
    with torch.no_grad():
        variant, block = _watched(model.aggregator)
        nothing: AbstractContextManager[list[Tensor]] = contextlib.nullcontext([])
        watch = captured_inputs(variant, block) if variant else nothing
        with watch as inputs:
            found: Aggregated = model.aggregator(batch, grid=places, padding_mask=None)
        outputs: Tensor = model.head(found.embedding)
        contribution = tile_contributions(found, model.head)
    attention, name = found.class_attention, "attention"
    attention = found.attention if attention is None else attention[0]
    if variant is not None and inputs:
        q, k = inputs
        attention = attention_weights(variant, q, k, [0])[:, 1:].float().mean(dim=-1)
        name = "attention of cls in " + ("the last block" if block < 0 else f"block {block + 1}")
    missing = []
    kind = type(model.aggregator).__name__
    if attention is None:
        missing.append(f"{kind} has no weights of tiles: no attention")
    bias: Tensor | None = None
    if contribution is not None:
        given = model.head.linear.bias
        bias = torch.zeros_like(outputs[0]) if given is None else given
    elif not isinstance(model.head, LinearHead):
        missing.append(
            f"after {type(model.head).__name__} an output is no sum over tiles: no contribution"
        )
    else:
        missing.append(f"{kind} is no weighted mean of tiles: no contribution")
    return TileEvidence(
        outputs=_array(outputs[0]),
        attention=None if attention is None else _array(attention),
        contribution=None if contribution is None else _array(contribution[0]),
        bias=None if bias is None else _array(bias),
        attention_is=name,
        missing=tuple(missing),
    )


def tile_contributions(found: Aggregated, head: nn.Module) -> Tensor | None:
    """Return what each tile adds to each output ``(B, O, L)``; ``None`` where outputs are no sums.

    Args:
        found: what an aggregator returned; weights over instances make its embedding.
        head: linear, else there is no answer.
    """
    if not isinstance(head, LinearHead) or found.attention is None or found.instances is None:
        return None
    weights = found.class_attention
    if weights is None:
        weights = found.attention[:, None]
    # in full precision: what is drawn must add up
    evidence = found.instances.float() @ head.linear.weight.float().T
    return weights.float() * evidence.transpose(1, 2)


def _watched(aggregator: Any) -> tuple[nn.Module | None, int]:
    """Return the attention variant of an aggregator that ends in a cls token, and which block's."""
    if not isinstance(aggregator, LongNetAggregator) or aggregator.pooling != "cls":
        return None, -1
    variant = getattr(aggregator.encoder, "attention", None)
    block = -1 if aggregator.layers is None else max(aggregator.layers) - 1
    # layer 0 is before any block
    before = aggregator.layers is not None and block < 0
    return (variant if isinstance(variant, nn.Module) and not before else None), block


def _array(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().float().cpu().numpy()
    return array
