"""Which parameters decay."""

import pytest
import torch
from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.engine.optim_wrappers.grouped_constructor import GroupedOptimWrapperConstructor

CONFIG = {
    "type": "GuardedOptimWrapper",
    "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05},
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2, bias=False)
        self.frozen = nn.Parameter(torch.zeros(3, 3), requires_grad=False)


def names(model, optimizer):
    of = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimizer.param_groups
    return {group["name"]: [of[id(p)] for p in group["params"]] for group in groups}


def test_two_groups_cover_each_trained_parameter_once():
    model = Net()
    optimizer = GroupedOptimWrapperConstructor(CONFIG)(model).optimizer
    assert names(model, optimizer) == {
        "decay": ["linear.weight", "head.weight"],
        "no_decay": ["mask_token", "linear.bias", "norm.weight", "norm.bias"],
    }
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    assert isinstance(optimizer, torch.optim.AdamW)


def test_names_can_be_added():
    model = Net()
    build = GroupedOptimWrapperConstructor(CONFIG, {"no_decay": ["head"]})
    assert names(model, build(model).optimizer)["decay"] == ["linear.weight"]


def test_unknown_key_and_nothing_to_train_are_errors():
    with pytest.raises(ConfigError, match="norm_decay_mult"):
        GroupedOptimWrapperConstructor(CONFIG, {"norm_decay_mult": 0.0})
    with pytest.raises(ConfigError, match="no parameter"):
        GroupedOptimWrapperConstructor(CONFIG)(Net().requires_grad_(False))
