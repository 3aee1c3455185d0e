"""Every cell of the tile recipe's axes is a config that trains."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gigakit.ablation.axes import choose, recipe_axes
from gigakit.config import apply_section, load_config
from gigakit.engine.launch import launch
from gigakit.engine.run_data import fill_in, prepare
from gigakit.registry import DATASETS, FUNCTIONS, OBJECTIVES, OPTIM_WRAPPER_CONSTRUCTORS

AXES = recipe_axes(load_config("tiny/tile").values)
CELLS = [(name, label) for name, axis in AXES.items() for label in axis.cells]
RECIPES = ("gigapath_tile", "dinov2_tile_long", "tile_vit_large", "tile_vit_base", "tile_vit_small")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Return a folder of eight tiles of smooth noise in the colours of stained tissue."""
    folder = tmp_path_factory.mktemp("tiles")
    generator = np.random.default_rng(0)
    for number in range(8):
        noise = generator.integers(120, 240, (12, 12, 3), dtype=np.uint8)
        noise[..., 1] //= 2
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (128, 128)))
    return folder


def _resolved(name, label, tiles):
    """Return what a cell is built from; that all cells pass the check is a test of the recipe."""
    (choice,) = choose(AXES[name], label)
    settings = [f"{key}={value!r}" for key, value in choice.settings.items()]
    return load_config("tiny/tile", [f"tiles={tiles}", *settings])


@pytest.mark.parametrize(("name", "label"), CELLS)
def test_a_cell_trains(name, label, tiles):
    values = _resolved(name, label, tiles).values
    fill_in(values, prepare(values, print))
    loader = values["train_dataloader"]
    dataset = DATASETS.build(loader["dataset"])
    collate = dict(loader["collate_fn"])
    batch = FUNCTIONS.get(collate.pop("type"))([dataset[k] for k in range(4)], **collate)
    torch.manual_seed(0)
    model = OBJECTIVES.build(values["model"]).train()
    wrapper = dict(values["optim_wrapper"])
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.get(wrapper.pop("constructor"))
    optimizer = constructor(wrapper, wrapper.pop("paramwise_cfg"))(model)
    before = {key: value.clone() for key, value in model.named_parameters()}
    losses = model(**model.data_preprocessor(batch, training=True), mode="loss")
    optimizer.update_params(sum(losses.values()))
    assert all(torch.isfinite(value) for value in losses.values())
    moved = {key for key, value in model.named_parameters() if not torch.equal(before[key], value)}
    trained = {key for key, value in model.named_parameters() if value.requires_grad}
    # the key's bias changes no attention
    assert len(moved) >= 0.9 * len(trained)


@pytest.mark.parametrize("label", ["simclr", "mae"])
def test_objectives_without_a_teacher_run_with_their_hooks(label, tiles, tmp_path):
    result = launch(_resolved("objective", label, tiles), work_dir=tmp_path / "run")
    assert (result.status, result.steps) == ("done", 20)
    trained = load_config(tmp_path / "run" / "config.py").values["model"]["type"]
    assert trained == {"simclr": "ContrastiveLearning", "mae": "ImageMaskedAutoencoder"}[label]


def test_what_only_slides_can_follow_is_told(tiles):
    values = _resolved("mpp", "four", tiles).values
    assert prepare(values, print).notes == ["stored tiles are as they are: mpp changes nothing"]
    assert prepare(_resolved("mpp", "tiling", tiles).values, print).notes == []


def test_stored_tiles_take_the_recipe_whole(tiles):
    whole = apply_section(load_config("gigapath_tile", [f"tiles={tiles}"]), "sample")
    assert whole.values["model"]["encoder"]["width"] == 1536
    sample = apply_section(load_config("gigapath_tile"), "sample")
    assert sample.values["model"]["encoder"]["width"] == 192


@pytest.mark.parametrize("recipe", RECIPES)
def test_all_axes_of_the_full_recipes_are_the_same(recipe):
    assert recipe_axes(load_config(recipe).values).keys() == AXES.keys()
