"""Pictures of tile pretraining: patches at validations, views at the start."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.registry import HOOKS

MEAN, STD = (0.7, 0.5, 0.6), (0.2, 0.25, 0.3)
COUNT = 5


class Preprocessor(nn.Module):
    """Scales and normalises, as TileViews does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
        self.calls = []

    def forward(self, batch, training=False):
        self.calls.append(training)
        torch.rand(1)
        return {
            name: (value / 255 - self.mean) / self.std if value.dtype == torch.uint8 else value
            for name, value in batch.items()
        }


class Objective(nn.Module):
    def __init__(self):
        super().__init__()
        self.data_preprocessor = Preprocessor()

    def patch_features(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        # mean and deviation of each patch of 4 px
        patches = images.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)
        both = torch.cat([patches.mean(-1), patches.std(-1)], dim=1)
        return both.flatten(2).transpose(1, 2)


class Tiles:
    def __init__(self, count=COUNT):
        self.count, self.asked = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        generator = torch.Generator().manual_seed(index)
        return {"images": torch.randint(0, 256, (3, 16, 16), generator=generator).byte()}


@pytest.fixture
def runner():
    added = {}
    objective = Objective()
    return SimpleNamespace(
        objective=objective,
        model=objective,
        model_name="Objective",
        optim_wrapper=SimpleNamespace(precision="fp32"),
        val_dataloader=SimpleNamespace(dataset=Tiles()),
        visualizer=SimpleNamespace(
            add_image=lambda tag, picture, step: added.__setitem__(tag, (picture, step))
        ),
        iter=7,
        added=added,
    )


def test_the_same_tiles_are_drawn_at_each_validation(runner):
    hook = HOOKS.build({"type": "FeaturePictureHook", "tiles": 3})
    hook.before_train(runner)
    runner.model.train()
    for _ in range(2):
        hook.after_val_epoch(runner, metrics={})
    assert runner.val_dataloader.dataset.asked == [0, 2, 4] * 2
    assert runner.objective.data_preprocessor.calls == [False, False]
    picture, step = runner.added["tile/patches"]
    assert step == 7
    assert picture.shape == (2 * 164, 3 * 164, 3)
    # the upper row is the tiles themselves, not what normalisation makes of them
    tile = Tiles()[0]["images"].permute(1, 2, 0).numpy()
    assert np.abs(picture[5, 5].astype(int) - tile[0, 0].astype(int)).max() <= 1


def test_fewer_tiles_than_wanted_and_none(runner):
    runner.val_dataloader.dataset = Tiles(2)
    hook = HOOKS.build({"type": "FeaturePictureHook"})
    hook.after_val_epoch(runner)
    assert runner.added["tile/patches"][0].shape[1] == 2 * 164
    runner.added.clear()
    runner.val_dataloader.dataset = Tiles(0)
    hook.after_val_epoch(runner)
    assert runner.added == {}


def test_an_objective_without_patch_tokens_is_refused(runner):
    runner.objective = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"no method patch_features\(\)"):
        HOOKS.build({"type": "FeaturePictureHook"}).before_train(runner)
    for name in ("FeaturePictureHook", "ViewPictureHook"):
        with pytest.raises(ConfigError, match="give 1 or more"):
            HOOKS.build({"type": name, "tiles": 0})


def batch(locals_=3, masks=True):
    generator = torch.Generator().manual_seed(0)
    made = {
        "global_crops": torch.randint(0, 256, (2, COUNT, 3, 16, 16), generator=generator).byte(),
        "local_crops": torch.zeros(locals_, COUNT, 3, 8, 8, dtype=torch.uint8) + 40,
    }
    if masks:
        made["masks"] = torch.zeros(2 * COUNT, 16, dtype=torch.bool)
        # the second view of the tile 1, its first patch of the second row
        made["masks"][COUNT + 1, 4] = True
    return made


def test_the_first_batch_is_shown_once_with_its_masks(runner):
    runner.iter = 0
    state = torch.random.get_rng_state()
    hook = HOOKS.build({"type": "ViewPictureHook", "tiles": 2})
    views = batch()
    for step in (0, 1):
        hook.before_train_iter(runner, step, data_batch=views)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert runner.objective.data_preprocessor.calls == [True]
    ((tag, (picture, step)),) = runner.added.items()
    assert (tag, step) == ("tile/views", 0)
    # two global and three local crops a row, two rows, each with its gaps
    assert picture.shape == (2 * 20, 2 * 20 + 3 * 12, 3)
    crop = picture[20:36, 20:36]
    assert (crop[4:8, :4] == 128).all()
    pixels = views["global_crops"][1, 1].permute(1, 2, 0).numpy().astype(int)
    shown = np.ones((16, 16), bool)
    shown[4:8, :4] = False
    assert np.abs(crop.astype(int) - pixels)[shown].max() <= 1
    assert (picture[22, 42] == 40).all()


def test_neither_masks_nor_local_crops_are_needed(runner):
    runner.iter = 0
    views = batch(locals_=0, masks=False)
    HOOKS.build({"type": "ViewPictureHook", "tiles": 9}).before_train_iter(runner, 0, views)
    assert runner.added["tile/views"][0].shape == (COUNT * 20, 2 * 20, 3)


def test_a_resumed_run_has_its_views(runner):
    HOOKS.build({"type": "ViewPictureHook"}).before_train_iter(runner, 7, batch())
    assert runner.added == {}
