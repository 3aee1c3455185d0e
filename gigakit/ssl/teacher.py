"""A teacher that follows its student."""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def make_teacher(student: Net) -> Net:
    """Return a copy of the student that is never trained: the same weights at the start."""
    return copy.deepcopy(student).requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters towards the student's; buffers are taken as they are.

    Formula: ``teacher = momentum teacher + (1 - momentum) student``.

    Source: DINO (Caron et al. 2021), section 3.1.
    """
    torch._foreach_lerp_(
        list(teacher.parameters()), list(student.parameters()), weight=1.0 - momentum
    )
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        mine.copy_(theirs)


@runtime_checkable
class HasTeacher(Protocol):
    """An objective whose teacher follows its student."""

    def follow_student(self) -> None:
        """Move the teacher; the loop calls it after each optimiser step that was made."""
        ...
