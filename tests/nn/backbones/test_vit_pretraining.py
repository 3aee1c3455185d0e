"""The vision transformer in pretraining against arrays of DINOv2's released code."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.engine.activation_checkpointing import checkpoint_activations
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.nn.layouts import encoder_state
from gigakit.nn.position_interpolation import interpolate_positions

REFERENCES = ("vit_mlp_p16_224", "vit_reg_swiglu_p14", "vit_noscale_p8")


def reference(shared, name):
    """Build a reference network with its weights, and its arrays."""
    folder = shared / "reference/ssl"
    given = json.loads((folder / "vit_variants.json").read_text())[name]
    gated = given.get("ffn_layer") == "swiglufused"
    # 2/3 of 4 D, up to the next multiple of 8, twice
    hidden = (int(4 * given["embed_dim"] * 2 / 3) + 7) // 8 * 8
    model = VisionTransformer(
        image_size=given["img_size"],
        patch_size=given["patch_size"],
        width=given["embed_dim"],
        depth=given["depth"],
        heads=given["num_heads"],
        mlp_ratio=2 * hidden / given["embed_dim"] if gated else 4.0,
        ffn="swiglu" if gated else "mlp",
        layer_scale=given["init_values"],
        registers=given.get("num_register_tokens", 0),
        maskable=True,
        biases=given.get("qkv_bias", True),
        interpolation="antialiased" if given.get("interpolate_antialias") else "offset",
    )
    state = encoder_state(load_file(folder / f"{name}.safetensors"), pretraining=True)
    model.load_state_dict(state)
    arrays = dict(np.load(folder / f"{name}.npz"))
    for key in [key for key in arrays if key.endswith("_int8_div32")]:
        arrays[key.removesuffix("_int8_div32")] = torch.from_numpy(arrays[key]).float() / 32
    return model.eval(), arrays


@pytest.fixture(scope="module", params=REFERENCES)
def published(request, shared):
    return reference(shared, request.param)


def largest(found, expected):
    difference = (found - torch.as_tensor(expected)).detach()
    return float(difference.abs().max()) if found.numel() else 0.0


def check(tokens, arrays, kind, tolerance=2e-5):
    for name, found in (("cls", tokens.cls), ("reg", tokens.registers), ("patch", tokens.patches)):
        expected = arrays[f"{kind}_{name}"]
        assert found.shape == expected.shape
        assert largest(found, expected) < tolerance, (kind, name)


@torch.no_grad()
def test_tokens_of_full_masked_local_and_rectangular_images(published):
    model, arrays = published
    masks = torch.from_numpy(arrays["masks"])
    for kind, images, mask in (
        ("full", arrays["x"], None),
        ("masked", arrays["x"], masks),
        ("local", arrays["x_local"], None),
        ("rect", arrays["x_rect"], None),
    ):
        check(model.forward_views([images], [mask])[0], arrays, kind)
    packed = model.forward_views([arrays["x"], arrays["x_local"]], [masks, None])
    check(packed[0], arrays, "masked")
    check(packed[1], arrays, "local")
    assert largest(model(arrays["x_local"]), arrays["local_cls"]) < 2e-5
    raw = []
    with model.norm.register_forward_pre_hook(lambda _, given: raw.append(given[0])):
        model.tokens(arrays["x"])
    assert largest(raw[0], arrays["full_prenorm"]) < 2e-5


@torch.no_grad()
def test_the_last_two_blocks(published):
    model, arrays = published
    found = model.intermediate(arrays["x"], [-2, len(model.blocks) - 1])
    for number, tokens in enumerate(found):
        expected = arrays[f"inter{number}_patch"]
        maps = tokens.patches.mT.unflatten(-1, expected.shape[-2:])
        assert largest(maps, expected) < 2e-5
        assert largest(tokens.cls, arrays[f"inter{number}_cls"]) < 2e-5
    with pytest.raises(ConfigError, match=f"no block {len(model.blocks)}"):
        model.intermediate(arrays["x"], [len(model.blocks)])


@torch.no_grad()
def test_interpolated_positions(published):
    model, arrays = published
    height, width = (int(side) // model.patch_size for side in arrays["pos_embed_rect_h_w"])
    local = arrays["x_local"].shape[-1] // model.patch_size
    for name, grid in (("local", (local, local)), ("rect", (height, width))):
        found = interpolate_positions(model.pos_embed, *grid, model.interpolation)
        assert largest(found, arrays[f"pos_embed_{name}"]) < 1e-6


def test_positions_stay_on_their_own_grid_alone():
    table = torch.randn(1, 17, 3)
    assert interpolate_positions(table, 4, 4) is table
    # as many patches, but another shape
    assert interpolate_positions(table, 2, 8).shape == (1, 17, 3)
    assert not torch.equal(interpolate_positions(table, 2, 8), table)
    half = interpolate_positions(table.bfloat16(), 3, 3)
    assert half.dtype == torch.bfloat16
    expected = interpolate_positions(table.bfloat16().float(), 3, 3)
    assert torch.equal(half, expected.bfloat16())


def small(**changes):
    torch.manual_seed(0)
    settings = {
        "image_size": 32, "patch_size": 8, "width": 24, "depth": 3, "heads": 2, "layer_scale": 0.3,
        "registers": 2, "maskable": True,
    }  # fmt: skip
    return VisionTransformer(**{**settings, **changes})


def crops(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    views = [torch.randn(n, 3, s, s, generator=generator).to(dtype) for n, s in ((4, 32), (6, 16))]
    return views, [torch.rand(4, 16, generator=generator) < 0.4, None]


def score(tokens):
    return sum(
        (part.sin() * (1 + number)).sum()
        for number, each in enumerate(tokens)
        for part in (each.cls, each.registers, each.patches)
    )


@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
def test_packed_crops_equal_separate_calls_and_so_do_their_gradients(ffn):
    model = small(ffn=ffn).double()
    views, masks = crops()
    packed = model.forward_views(views, masks)
    separate = [model.forward_views([v], [m])[0] for v, m in zip(views, masks, strict=True)]
    for one, other in zip(packed, separate, strict=True):
        for name in ("cls", "registers", "patches"):
            assert largest(getattr(one, name), getattr(other, name)) < 1e-12
    assert largest(packed[1].patches, model.tokens(views[1])[:, 3:]) < 1e-12
    gradients = [
        torch.autograd.grad(score(tokens), list(model.parameters()))
        for tokens in (packed, separate)
    ]
    assert max(largest(*pair) for pair in zip(*gradients, strict=True)) < 1e-10
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])


def read_whole(model, read):
    """Tokens of the crops, all of them computed, and those that are read taken out."""
    found = model.forward_views(*crops())
    return [
        (tokens.cls, tokens.patches if rows is None else tokens.patches.flatten(0, 1)[rows])
        for tokens, rows in zip(found, read, strict=True)
    ]


@pytest.mark.parametrize("drop", [(0.0, "subset"), (0.5, "subset"), (0.5, "sample")])
@pytest.mark.parametrize("first", [[], [3, 40, 3, 63], None], ids=["none", "some", "all"])
def test_tokens_that_are_read_are_those_of_a_whole_pass_and_so_are_gradients(drop, first):
    model = small(drop_path=drop[0], drop_path_mode=drop[1]).double().train()
    read = [None if first is None else torch.tensor(first).long(), torch.tensor([23, 0])]
    found, gradients = [], []
    for single in (True, False):
        torch.manual_seed(5)
        if single:
            tokens = [(t.cls, t.patches) for t in model.forward_views(*crops(), read)]
        else:
            tokens = read_whole(model, read)
        found.append([part for each in tokens for part in each])
        total = sum((part.sin() * (1 + n)).sum() for n, part in enumerate(found[-1]))
        gradients.append(torch.autograd.grad(total, list(model.parameters()), allow_unused=True))
    assert [part.shape for part in found[0]] == [part.shape for part in found[1]]
    assert max(largest(*pair) for pair in zip(*found, strict=True) if pair[0].numel()) < 1e-12
    used = [pair for pair in zip(*gradients, strict=True) if pair[0] is not None]
    assert max(largest(*pair) for pair in used) < 1e-10
    assert len(used) == len(gradients[0]) - ("mask_token" not in dict(model.named_parameters()))


def test_the_last_feed_forward_computes_what_is_read_alone():
    model = small(drop_path=0.5).train()
    rows = []
    for block in model.blocks:
        block.mlp.fc1.register_forward_hook(lambda *call: rows.append(call[2].shape[1]))
    views, masks = crops(torch.float32)
    model.forward_views(views, masks, [torch.tensor([1, 5, 9]), torch.tensor([]).long()])
    # a half of 4 samples of 19 tokens and of 6 of 7; at the end 4 + 6 class tokens, 3 patches
    assert rows == [2 * 19 + 3 * 7, 2 * 19 + 3 * 7, 4 + 6 + 3]
    del rows[:]
    cls = model.eval()(views[0])
    assert rows == [19, 19, 4]
    assert largest(cls, model.tokens(views[0])[:, 0]) < 1e-6


@pytest.mark.parametrize("mode", ["subset", "sample"])
def test_a_recomputed_packed_step_draws_the_same_samples(mode):
    model = small(drop_path=0.5, drop_path_mode=mode).double().train()
    recomputed = copy.deepcopy(model)
    checkpoint_activations(recomputed)
    gradients = []
    for network in (model, recomputed):
        torch.manual_seed(5)
        score(network.forward_views(*crops())).backward()
        gradients.append([p.grad for p in network.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_autocast_keeps_sums_in_float32_and_comes_close():
    model = small(layer_scale=None, drop_path=0.3)
    views, masks = crops(torch.float32)
    plain = model.eval().forward_views(views, masks)
    sums = []
    model.blocks[0].register_forward_hook(lambda *call: sums.append(call[2]))
    with torch.autocast("cpu", torch.bfloat16):
        cast = model.forward_views(views, masks)
        score(model.train().forward_views(views, masks)).backward()
    assert [x.dtype for x in sums] == [torch.float32] * 2
    assert largest(cast[0].patches, plain[0].patches) < 3e-2
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_new_encoder_begins_as_published():
    model = small(width=96, depth=1)
    assert torch.equal(model.mask_token, torch.zeros(1, 96))
    assert 0 < model.register_tokens.abs().max() < 1e-5
    assert model.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    bare = small(biases=False)
    names = {name for name, _ in bare.named_parameters() if name.endswith("bias")}
    assert not {name for name in names if ".attn." in name or ".mlp." in name}
    assert "patch_embed.proj.bias" in names


def test_wrong_arguments_and_masks_are_refused():
    views, masks = crops(torch.float32)
    with pytest.raises(ConfigError, match="maskable=True"):
        small(maskable=False).forward_views(views, masks)
    with pytest.raises(ConfigError, match=r"masks \(4, 15\) for patches \(4, 16\)"):
        small().forward_views(views[:1], [masks[0][:, 1:]])
    for wrong in (
        {"drop_path": 1.0},
        {"registers": -1},
        {"drop_path_mode": "batch"},
        {"drop_path_shape": "cosine"},
        {"interpolation": "linear"},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            small(**wrong)


def test_the_oracle_of_masks_is_a_loop():
    model = small(depth=1)
    torch.nn.init.normal_(model.mask_token)
    views, masks = crops(torch.float32)
    found = model._embed(views[0], masks[0])[:, 3:]
    for row, image in enumerate(views[0]):
        for patch in range(16):
            top, left = patch // 4 * 8, patch % 4 * 8
            weight = model.patch_embed.proj.weight.flatten(1)
            pixels = image[:, top : top + 8, left : left + 8].flatten()
            token = functional.linear(pixels, weight, model.patch_embed.proj.bias)
            expected = model.mask_token[0] if masks[0][row, patch] else token
            assert largest(found[row, patch], expected + model.pos_embed[0, 1 + patch]) < 1e-5
