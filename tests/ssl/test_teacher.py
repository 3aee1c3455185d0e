"""The teacher follows its student."""

from __future__ import annotations

import torch
from torch import nn

from gigakit.ssl.teacher import make_teacher, update_teacher


def student():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


def test_it_begins_as_a_copy_that_is_not_trained():
    one = student()
    teacher = make_teacher(one)
    assert not teacher.training
    assert one.training
    assert all(p.requires_grad for p in one.parameters())
    for mine, theirs in zip(teacher.parameters(), one.parameters(), strict=True):
        assert not mine.requires_grad
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_it_moves_by_its_momentum_and_takes_buffers():
    one = student()
    teacher = make_teacher(one)
    before = [p.clone() for p in teacher.parameters()]
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    one(torch.randn(5, 4))
    update_teacher(teacher, one, 0.9)
    for mine, old in zip(teacher.parameters(), before, strict=True):
        torch.testing.assert_close(mine, old + 0.1)
    assert torch.equal(teacher[1].running_mean, one[1].running_mean)
    update_teacher(teacher, one, 1.0)
    for mine, old in zip(teacher.parameters(), before, strict=True):
        torch.testing.assert_close(mine, old + 0.1)
