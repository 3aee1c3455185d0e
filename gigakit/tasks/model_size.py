"""How large an objective is, without data and without its memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gigakit.core.errors import GigakitError
from gigakit.registry import OBJECTIVES


def model_size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return trained and all parameters of a recipe's model, ``None`` where it needs its data.

    The width of the input, where the recipe leaves it to the data, is the tile encoder's.

    Args:
        values: a recipe's, as trained.
    """
    model = copy.deepcopy(values["model"])
    encoder = (values.get("preparation") or {}).get("encoder") or {}
    if model.get("input_dim") is None and encoder.get("width"):
        model["input_dim"] = encoder["width"]
    try:
        with torch.device("meta"):
            built: nn.Module = OBJECTIVES.build(model)
    except (GigakitError, NotImplementedError):
        return None
    trained = sum(p.numel() for p in built.parameters() if p.requires_grad)
    return trained, sum(p.numel() for p in built.parameters())
