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
    with pytest.raises(ConfigError, match=r"norm_decay_mult: got 0.0; the keys are rule, no_decay"):
        GroupedOptimWrapperConstructor(CONFIG, {"norm_decay_mult": 0.0})
    with pytest.raises(ConfigError, match="no parameter"):
        GroupedOptimWrapperConstructor(CONFIG)(Net().requires_grad_(False))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "timm"}, "rule: got 'timm'; choose from mae, dinov2, gigapath"),
        ({"no_decay": "head"}, "no_decay: got 'head'; give a list of names"),
        ({"layer_decay_in": [1]}, "layer_decay_in: got .1.; give a list of names"),
        ({"layer_decay": 0.0}, "layer_decay: got 0.0; give a number above 0, at most 1"),
        ({"patch_embed_lr": "0.2"}, "patch_embed_lr: got '0.2'; give a number"),
    ],
)
def test_unusable_values_are_refused(given, message):
    with pytest.raises(ConfigError, match=f"optim_wrapper.paramwise_cfg.{message}"):
        GroupedOptimWrapperConstructor(CONFIG, given)


def test_groups_carry_what_schedules_and_messages_need():
    model = nn.Module()
    model.patch_embed = nn.Linear(4, 4)
    model.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    model.last_layer = nn.Linear(4, 2, bias=False)
    paramwise = {"rule": "dinov2", "layer_decay": 0.5, "patch_embed_lr": 0.2}
    groups = GroupedOptimWrapperConstructor(CONFIG, paramwise)(model).optimizer.param_groups
    table = {group["name"]: group for group in groups}
    assert {name: group["lr"] for name, group in table.items()} == pytest.approx(
        {
            "decay, lr x0.025": 1e-3 * 0.025,
            "no_decay, lr x0.025": 1e-3 * 0.025,
            "decay, lr x0.25": 1e-3 * 0.25,
            "no_decay, lr x0.25": 1e-3 * 0.25,
            "decay, lr x0.5": 1e-3 * 0.5,
            "no_decay, lr x0.5": 1e-3 * 0.5,
            "decay, last layer": 1e-3,
        }
    )
    for name, group in table.items():
        assert group["weight_decay"] == (0.0 if name.startswith("no") else 0.05)
        assert group["wd_mult"] == (0.0 if name.startswith("no") else 1.0)
    assert table["decay, lr x0.25"]["param_names"] == ["blocks.0.weight"]
    assert table["decay, last layer"]["is_last_layer"]


def test_a_rate_that_the_recipe_leaves_to_the_optimiser_is_scaled_too():
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False)])
    config = {"type": "GuardedOptimWrapper", "optimizer": {"type": "AdamW"}}
    (group,) = GroupedOptimWrapperConstructor(config, {"layer_decay": 0.5})(
        model
    ).optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.0005, 0.01)


def test_the_optimiser_is_fused_where_it_can_be_unless_the_recipe_says_otherwise(caplog):
    caplog.set_level("INFO")
    fused = GroupedOptimWrapperConstructor(CONFIG)(Net()).optimizer
    assert fused.defaults["fused"]
    plain = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "fused": False}}
    assert not GroupedOptimWrapperConstructor(plain)(Net()).optimizer.defaults["fused"]
    assert caplog.records == []
    # a device without such a kernel
    elsewhere = GroupedOptimWrapperConstructor(CONFIG)(Net().to("meta")).optimizer
    assert not elsewhere.defaults["fused"]
    assert "AdamW is not fused: torch has no such kernel for meta" in caplog.text
