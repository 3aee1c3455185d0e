"""Values that are cheap to make again, and so are not kept for the backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def recomputed(
    value: Tensor, make: Callable[[], Tensor]
) -> contextlib.AbstractContextManager[object]:
    """Return a context whose operations make ``value`` again in their backward, and do not keep it.

    The output of an activation function is as large as its input, which is kept already: of a
    vision transformer's activations that is a quarter. Nothing is changed without gradients, nor
    where others decide what is kept: a compiler, or a context around this one, such as activation
    checkpointing.

    Args:
        value: what operations in the context take.
        make: returns it once more, bit by bit.
    """
    if not value.requires_grad or torch.compiler.is_compiling() or _others_decide():
        return contextlib.nullcontext()
    place, count = value.data_ptr(), value.numel()

    def pack(saved: Tensor) -> Tensor | torch.Size:
        # a layer may look at it in another shape
        is_value = saved.data_ptr() == place and saved.numel() == count
        return saved.shape if is_value else saved

    def unpack(packed: Tensor | torch.Size) -> Tensor:
        return make().view(packed) if isinstance(packed, torch.Size) else packed

    return saved_tensors_hooks(pack, unpack)


def _others_decide() -> bool:
    # torch has no public way to ask; what make() holds would outlive a checkpointed block's forward
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
