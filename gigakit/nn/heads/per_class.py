"""A linear layer that may see one embedding, or one for each of its outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def apply_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Return outputs ``(B, C)`` of embeddings ``(B, D)``, or of ``(B, C, D)``: one an output.

    Formula: ``w_c^T x + b_c``, with ``x_c`` in place of x where each output has its own, as in the
    branches of CLAM.
    """
    if x.ndim == 2:  # noqa: PLR2004
        outputs: Tensor = layer(x)
        return outputs
    own = torch.einsum("bcd,cd->bc", x, layer.weight.to(x.dtype))
    return own if layer.bias is None else own + layer.bias
