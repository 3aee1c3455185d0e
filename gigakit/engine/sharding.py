"""The large tensors of a checkpoint: which they are, and what each process holds of them.

They are named ``model/<name>`` and ``optimizer/<number>/<key>``, with the parameters' numbers in
the order of the optimiser's groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


def is_sharded(state: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint's weights are spread over processes."""
    return any(isinstance(value, DTensor) for value in state.get("state_dict", {}).values())


def sharded_layout(model: nn.Module, optimizer: Optimizer) -> dict[str, DTensor]:
    """Return what this process holds of each sharded tensor; empty for a model that is whole.

    An optimiser's state lies as its parameter does, under ``optimizer/<number>``.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    named = {
        **{f"model/{name}": value for name, value in model.state_dict().items()},
        **{f"optimizer/{number}": value for number, value in enumerate(parameters)},
    }
    return {name: value for name, value in named.items() if isinstance(value, DTensor)}


def split_tensors(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take the large tensors out of a checkpoint, and return the rest and them by name."""
    rest = {**state, "state_dict": {}, "optimizer": {**state["optimizer"], "state": {}}}
    tensors = {f"model/{name}": value for name, value in state["state_dict"].items()}
    for number, entries in state["optimizer"]["state"].items():
        rest["optimizer"]["state"][number] = {
            key: value for key, value in entries.items() if not _is_large(value)
        }
        tensors |= {
            f"optimizer/{number}/{key}": value for key, value in entries.items() if _is_large(value)
        }
    return rest, tensors


def join_tensors(state: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Put back what :func:`split_tensors` took out."""
    for name, tensor in tensors.items():
        kind, rest = name.split("/", 1)
        if kind == "model":
            state["state_dict"][rest] = tensor
        else:
            number, key = rest.split("/", 1)
            state["optimizer"]["state"][int(number)][key] = tensor
    return state


def place_tensors(state: dict[str, Any], layout: Mapping[str, DTensor]) -> dict[str, Any]:
    """Replace the whole tensors of a checkpoint by this process's part of them."""
    if not layout:
        return state
    rest, tensors = split_tensors(state)
    placed = {
        name: _part_of(tensor, _like(name, tensor.shape, layout))
        for name, tensor in tensors.items()
    }
    return join_tensors(rest, placed)


def like_own(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return this process's part of whole tensors, where the model's of that name is sharded."""
    return {name: _part_of(tensor, _sharded(own[name])) for name, tensor in tensors.items()}


def empty_tensor(
    name: str, shape: torch.Size, dtype: torch.dtype, layout: Mapping[str, DTensor]
) -> Tensor:
    """Return an uninitialised tensor to read into, of which this process holds what it should."""
    like = _like(name, shape, layout)
    if like is None:
        return torch.empty(shape, dtype=dtype)
    return torch.empty_like(like, dtype=dtype, requires_grad=False)


def _like(name: str, shape: torch.Size, layout: Mapping[str, DTensor]) -> DTensor | None:
    """Return the sharded tensor that one of this name lies like, if there is one."""
    kind, rest = name.split("/", 1)
    like = layout.get(name if kind == "model" else f"optimizer/{rest.split('/', 1)[0]}")
    return like if like is not None and like.shape == shape else None


def _sharded(tensor: Tensor) -> DTensor | None:
    return tensor if isinstance(tensor, DTensor) else None


def _part_of(tensor: Tensor, like: DTensor | None) -> Tensor:
    if like is None:
        return tensor
    # every process has read the whole, so none needs to send
    return distribute_tensor(
        tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )


def _is_large(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0
