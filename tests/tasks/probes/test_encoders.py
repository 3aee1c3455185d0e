"""Frozen encoders: which one a file or config means, and what is taken of its tokens."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tasks.probes import drawn

from gigakit.core.errors import CheckpointError, ConfigError, StoreError
from gigakit.registry import BACKBONES
from gigakit.tasks.probes.embedding import embed_collection
from gigakit.tasks.probes.encoder_choice import (
    EncoderChoice,
    choice_of_config,
    encoder_tensors,
)
from gigakit.tasks.probes.frozen_encoder import FrozenEncoder
from gigakit.tasks.probes.tile_collection import read_collection
from gigakit.tasks.probes.tokens import cls_and_patches, probe_input

VIT = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 8,
    "width": 12, "depth": 1, "heads": 2,
}  # fmt: skip


def test_the_input_of_a_probe_is_the_published_one(shared):
    with np.load(shared / "reference/ssl/linear_input.npz") as arrays:
        cls = [torch.from_numpy(arrays[f"cls{i}"]) for i in range(4)]
        patches = torch.from_numpy(arrays["patch3"])
        for blocks in (1, 4):
            for mean in (0, 1):
                found = probe_input(cls[-blocks:], patches if mean else None)
                expected = arrays[f"n{blocks}_avg{mean}"]
                np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ({"model": {"backbone": VIT, "data_preprocessor": {"mean": [0.7] * 3}}}, 0.7),
        ({"model": {"type": "X", "encoder": VIT}}, 0.485),
        ({"preparation": {"encoder": VIT, "transform": {"mean": [0.5] * 3}}}, 0.5),
        ({"encoder": VIT}, 0.485),
        # a slide recipe: its own encoder takes no pixels, its preparation's does
        ({"model": {"encoder": {"type": "LongNet"}}, "preparation": {"encoder": VIT}}, 0.485),
    ],
)
def test_a_tile_encoder_is_found_where_configs_keep_it(tmp_path, values, mean):
    choice = choice_of_config(values, "mine", tmp_path)
    assert choice.config == VIT
    assert choice.mean[0] == mean


def test_a_config_without_a_tile_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no tile encoder"):
        choice_of_config({"model": {"encoder": {"type": "LongNet"}}}, "mine", tmp_path)


def test_of_student_and_teacher_the_teacher_is_taken(tmp_path):
    names = ("cls_token", "norm.weight")
    student = {f"student.backbone.{n}": torch.zeros(1) for n in names}
    teacher = {f"teacher.backbone.{n}": torch.ones(1) for n in names}
    head = {"teacher.head.weight": torch.ones(1)}
    found = encoder_tensors({**student, **teacher, **head}, tmp_path)
    assert found.keys() == set(names)
    assert all(bool(value.all()) for value in found.values())
    assert encoder_tensors({"backbone.cls_token": torch.ones(1)}, tmp_path).keys() == {"cls_token"}
    with pytest.raises(CheckpointError, match="holds several encoders"):
        encoder_tensors({"a.cls_token": torch.ones(1), "b.cls_token": torch.ones(1)}, tmp_path)


def seeded(seed=0):
    torch.manual_seed(seed)
    return BACKBONES.build(VIT)


def choice(tmp_path, seed=0):
    encoder = seeded(seed)
    return EncoderChoice("mine", VIT, read=encoder.state_dict, weights=tmp_path / "w"), encoder


def test_tiles_are_embedded_as_the_network_does(tmp_path):
    chosen, network = choice(tmp_path)
    tiles = [drawn.draw(i % 3, i, side=32) for i in range(5)]
    frozen = FrozenEncoder(chosen, tokens="cls+mean", device="cpu", precision="fp32")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (chosen.mean, chosen.deviation))
    images = torch.stack([(torch.from_numpy(t).permute(2, 0, 1) / 255 - mean) / std for t in tiles])
    with torch.no_grad():
        cls, patches = cls_and_patches(network.eval(), images)
        torch.testing.assert_close(cls, network(images))
    expected = torch.cat([cls, patches.mean(dim=1)], dim=1).numpy()
    np.testing.assert_allclose(frozen.embed(tiles), expected, atol=2e-5)
    np.testing.assert_allclose(frozen.patches(tiles), patches.numpy(), atol=2e-5)
    np.testing.assert_array_equal(frozen.seen(tiles[0]), tiles[0])
    only = FrozenEncoder(chosen, device="cpu", precision="fp32").embed(tiles)
    np.testing.assert_allclose(only, expected[:, :12], atol=2e-5)


def test_the_input_is_what_the_encoder_was_made_or_validated_for(tmp_path):
    vit = {**VIT, "image_size": 16}
    told = {
        "model": {"encoder": vit},
        "val_dataloader": {"dataset": {"transform": {"size_px": 32}}},
    }
    assert choice_of_config(told, "mine", tmp_path).input_px is None
    told["labelled"] = {"root": "tiles.zip", "table": "labels.csv"}
    assert choice_of_config(told, "mine", tmp_path).input_px == 32
    used = {"encoder": vit, "transform": {"resize_px": 48, "crop_px": 24}}
    assert choice_of_config(used, "mine", tmp_path).input_px == 24
    bare = choice_of_config({"encoder": vit}, "mine", tmp_path)
    sides = {
        None: FrozenEncoder(bare, device="cpu"),
        24: FrozenEncoder(replace(bare, input_px=24), device="cpu"),
        8: FrozenEncoder(replace(bare, input_px=24), device="cpu", input_px=8),
    }
    tile = drawn.draw(0, 0, side=64)
    assert [one.seen(tile).shape[0] for one in sides.values()] == [16, 24, 8]


def test_larger_tiles_are_shrunk_and_smaller_ones_refused(tmp_path):
    chosen, _ = choice(tmp_path)
    large, small = drawn.draw(0, 0, side=64), drawn.draw(0, 0, side=16)
    frozen = FrozenEncoder(chosen, device="cpu")
    assert frozen.embed([large]).shape == (1, 12)
    with pytest.raises(ConfigError, match=r"a tile has 16 x 16 px, the encoder takes 32; .*--enla"):
        frozen.embed([large, small])
    assert FrozenEncoder(chosen, device="cpu", enlarge=True).embed([small]).shape == (1, 12)


def test_without_weights_it_is_seeded_and_disturbs_nothing(tmp_path):
    state = torch.random.get_rng_state()
    tile = [drawn.draw(1, 1, side=32)]
    build = functools.partial(FrozenEncoder, EncoderChoice("mine", VIT), device="cpu")
    one, two, other = (build(seed=seed).embed(tile) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_kind_of_tokens_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match="choose cls or cls"):
        FrozenEncoder(EncoderChoice("mine", VIT), tokens="all", device="cpu")
    with pytest.raises(ConfigError, match="neither forward_views nor tokens"):
        cls_and_patches(torch.nn.Identity(), torch.zeros(1, 3, 8, 8))


def test_a_backbone_with_views_shows_its_patches_without_registers():
    class Views(torch.nn.Module):
        def forward_views(self, views, masks):
            assert masks == [None]
            pooled = views[0].mean(dim=(2, 3))
            return [type("T", (), {"cls": pooled, "patches": pooled[:, None] + 1})]

    images = torch.rand(2, 3, 8, 8)
    cls, patches = cls_and_patches(Views(), images)
    torch.testing.assert_close(patches[:, 0], cls + 1)


class _Mean:
    name = "mean"

    def embed(self, pixels):
        return np.stack([tile.mean(axis=(0, 1)) for tile in pixels]).astype(np.float32)


def test_damaged_tiles_are_left_out_up_to_a_share(tmp_path):
    folder = drawn.write_folder(tmp_path)
    tiles = read_collection(folder, table=drawn.write_table(tmp_path / "t.csv"))
    expected = _Mean().embed([tiles.pixels(i) for i in range(len(tiles)) if i not in (7, 30)])
    (folder / tiles.names[7]).write_bytes(b"half")
    (folder / tiles.names[30]).unlink()
    arguments = {"batch_size": 8, "announce": lambda line: None}
    found = embed_collection(_Mean(), tiles, max_bad_share=0.05, **arguments)
    np.testing.assert_array_equal(found.features, expected)
    assert np.flatnonzero(~found.good).tolist() == [7, 30]
    assert tiles.names[7] in found.bad[0]
    with pytest.raises(StoreError, match=r"2 of its first 32 tiles .* more than 2.0% of all 54"):
        embed_collection(_Mean(), tiles, max_bad_share=0.02, **arguments)
