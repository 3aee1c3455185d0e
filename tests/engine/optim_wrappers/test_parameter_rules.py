"""Layers, decay and learning-rate factors against the published groups, name by name."""

import json

import pytest
import torch
from torch import nn

from gigakit.engine.optim_wrappers.parameter_rules import treatments
from gigakit.registry import OBJECTIVES


def network(shapes):
    """Return a module whose parameters have these names; entries of ``blocks`` are in lists."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, last = name.split(".")
        node = root
        for place, part in enumerate(path):
            if not hasattr(node, part):
                # a list of blocks, or a chunk in it
                below = path[place + 1] if place + 1 < len(path) else ""
                in_blocks = part in ("blocks", "layers") or isinstance(node, nn.ModuleList)
                node.add_module(
                    part, nn.ModuleList() if in_blocks and below.isdigit() else nn.Module()
                )
            node = getattr(node, part)
        node.register_parameter(last, nn.Parameter(torch.zeros(shape)))
    return root


@pytest.mark.parametrize(
    "case",
    ["reg_ls_chunk0", "reg_ls_chunk2", "plain_chunk0_decay1", "swiglu_chunk0", "dino_head"],
)
def test_groups_are_dinov2s(shared, case):
    published = json.loads((shared / "reference/ssl/param_groups.json").read_text())[case]
    expected = published["groups"]
    found = treatments(
        network(dict.fromkeys(expected, (1,))),
        rule="dinov2",
        layer_decay=published["lr_decay_rate"],
        patch_embed_lr=published["patch_embed_lr_mult"],
    )
    assert found.keys() == expected.keys()
    for name, group in expected.items():
        assert found[name].lr_mult == pytest.approx(group["lr_mult"], rel=1e-12), name
        assert found[name].wd_mult == group["wd_mult"], name
        assert found[name].is_last_layer == group["is_last_layer"], name
    assert len(set(found.values())) == published["n_fused"]


def test_groups_are_those_of_gigapaths_fine_tuning_but_for_its_patch_embedding(shared):
    """Published, the patch embedding misses its layer: its name has a prefix not expected."""
    file = shared / "reference/slide_encoder/finetune_param_groups.json"
    published = json.loads(file.read_text())
    expected = published["param_groups"]
    vectors = (".bias", "norm.weight", "_ln.weight", "layernorm.weight")
    shapes = {name: (2,) if name.endswith(vectors) else (1, 1) for name in expected}
    found = treatments(network(shapes), rule="gigapath", layer_decay=published["layer_decay"])
    assert found.keys() == expected.keys()
    for name, group in expected.items():
        assert found[name].wd_mult * published["weight_decay"] == group["weight_decay"], name
        if "patch_embed" in name:
            assert (found[name].lr_mult, group["lr_scale"]) == (pytest.approx(0.95**13), 1.0)
        else:
            assert found[name].lr_mult == pytest.approx(group["lr_scale"], rel=1e-12), name


def masked_autoencoder():
    attention = {"type": "FullAttention"}
    return OBJECTIVES.build(
        {
            "type": "MaskedAutoencoder", "input_dim": 4,
            "encoder": {
                "type": "LongNet", "width": 8, "depth": 3, "heads": 2, "attention": attention,
            },
            "decoder": {
                "type": "MaskedDecoder", "width": 8, "depth": 2, "heads": 2, "attention": attention,
            },
        }
    )  # fmt: skip


def test_layers_of_our_own_networks_are_found_each_in_its_own():
    found = treatments(masked_autoencoder(), layer_decay=0.5)
    assert found["encoder.cls_token"].lr_mult == 0.5**4
    assert found["encoder.patch_embed.proj.weight"].lr_mult == 0.5**4
    (first,) = {t.lr_mult for name, t in found.items() if ".layers.0." in name}
    (last,) = {t.lr_mult for name, t in found.items() if ".layers.2." in name}
    assert (first, last) == (0.5**3, 0.5)
    assert found["encoder.norm.weight"].lr_mult == 1.0
    assert found["decoder.mask_token"].lr_mult == 0.5**3
    (first,) = {t.lr_mult for name, t in found.items() if name.startswith("decoder.blocks.0.")}
    assert first == 0.25


def test_layer_decay_can_be_kept_to_one_network():
    found = treatments(masked_autoencoder(), layer_decay=0.5, layer_decay_in=["encoder"])
    assert {t.lr_mult for name, t in found.items() if name.startswith("decoder")} == {1.0}
    assert found["encoder.cls_token"].lr_mult == 0.5**4


def test_a_model_without_blocks_has_no_layers():
    found = treatments(nn.Linear(2, 2), layer_decay=0.5)
    assert {name: t.lr_mult for name, t in found.items()} == {"weight": 1.0, "bias": 1.0}


def test_two_lists_side_by_side_are_two_networks():
    model = nn.Module()
    model.local, model.wide = (nn.ModuleList([nn.Linear(2, 2)] * n) for n in (1, 1))
    model.cls_token = nn.Parameter(torch.zeros(1, 1, 2))
    found = treatments(model, layer_decay=0.5)
    assert found["local.0.weight"].lr_mult == 0.5
    # whose token it is cannot be told
    assert found["cls_token"].lr_mult == 1.0


def test_frozen_parameters_are_left_out():
    model = masked_autoencoder()
    model.encoder.requires_grad_(False)
    assert all(name.startswith("decoder") for name in treatments(model))
