"""The projection head against the published one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.profiler import ProfilerActivity, profile

from gigakit.core.errors import ConfigError
from gigakit.registry import HEADS


def build(**settings):
    config = {"type": "DinoHead", "prototypes": 96, "hidden": 56, "bottleneck": 24, **settings}
    return HEADS.build(config, input_dim=40)


@pytest.mark.parametrize(("suffix", "layers", "key"), [("", 3, ""), ("_nlayers1", 1, "1")])
def test_it_gives_the_published_logits_from_the_published_weights(shared, suffix, layers, key):
    folder = shared / "reference/ssl"
    head = build(layers=layers)
    head.load_state_dict(load_file(folder / f"dino_head{suffix}.safetensors"), strict=True)
    with np.load(folder / "dino_head.npz") as arrays:
        found = head(torch.from_numpy(arrays[f"x{key}"]))
        np.testing.assert_allclose(found.detach(), arrays[f"y{key}"], atol=2e-6)
        if not key:
            zero = head(torch.zeros(1, 40))[0]
            np.testing.assert_allclose(zero.detach(), arrays["y_zero_row"], atol=2e-6)


def test_logits_begin_as_cosines_and_gradients_reach_everything():
    torch.manual_seed(0)
    head = build()
    x = torch.randn(3, 5, 40, requires_grad=True)
    logits = head(x)
    assert logits.shape == (3, 5, 96)
    assert logits.abs().max() <= 1.0
    logits.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
    assert x.grad.abs().sum() > 0


def test_kinds_of_last_layers():
    assert build().last_layer.weight_g.requires_grad
    assert not build(last_layer="weight_norm_frozen").last_layer.weight_g.requires_grad
    assert list(dict(build(last_layer="plain").last_layer.named_parameters())) == ["weight"]
    with pytest.raises(ConfigError, match="last_layer"):
        build(last_layer="linear")
    with pytest.raises(ConfigError, match="layers"):
        build(layers=0)


@pytest.mark.parametrize(
    "settings",
    [{}, {"last_layer": "weight_norm_frozen"}, {"last_layer": "plain"}, {"patch_prototypes": 50}],
)
def test_both_kinds_of_tokens_at_once_are_two_calls(settings):
    torch.manual_seed(0)
    head = build(**settings).double()
    cls, patches = torch.randn(3, 40).double(), torch.randn(7, 40).double()
    gradients = []
    for found in (head.forward_both(cls, patches), [head(cls), head(patches, patches=True)]):
        assert [len(logits) for logits in found] == [3, 7]
        loss = sum((logits**3).sum() for logits in found)
        wanted = [p for p in head.parameters() if p.requires_grad]
        gradients.append([loss, *torch.autograd.grad(loss, wanted)])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_under_autocast_both_kinds_share_one_copy_of_the_prototypes():
    torch.manual_seed(0)
    head = build()
    cls, patches = torch.randn(3, 40), torch.randn(7, 40)
    with torch.autocast("cpu", torch.bfloat16):
        found = head.forward_both(cls, patches)
        apart = [head(cls), head(patches, patches=True)]
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            head.forward_both(cls, patches)
    for one, other in zip(found, apart, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other)
    size = list(head.last_layer.weight_v.shape)
    casts = [e for e in seen.events() if e.name == "aten::copy_" and e.input_shapes[0] == size]
    assert len(casts) == 1
