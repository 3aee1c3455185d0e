"""Pictures in TensorBoard: which slides, which tags, which step."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from gigakit.registry import HOOKS


@pytest.fixture
def runner():
    """Return a stand-in that records the pictures it is given."""
    added = {}
    visualizer = SimpleNamespace(
        add_image=lambda tag, picture, step: added.__setitem__(tag, (picture, step))
    )
    return SimpleNamespace(visualizer=visualizer, iter=7, added=added)


def sample(name):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 5, generator=generator)
    return {
        "slide_id": name,
        "features": features,
        "prediction": features + 1,
        "grid": torch.tensor([[float(i % 3), float(i // 3)] for i in range(6)]),
        "token_mask": torch.tensor([True, False] * 3),
    }


def test_each_slide_is_drawn_once_up_to_a_number(runner):
    hook = HOOKS.build({"type": "ReconstructionPictureHook", "slides": 2})
    hook.before_val_epoch(runner)
    for name in ("a", "a", "b", "c"):
        hook.after_val_iter(runner, 0, outputs=[sample(name)])
    assert runner.added == {}, "a validation cut short is made again"
    hook.after_val_epoch(runner)
    assert list(runner.added) == ["slide/reconstruction/a", "slide/reconstruction/b"]
    picture, step = runner.added["slide/reconstruction/a"]
    assert step == 7
    assert picture.ndim == 3
    runner.added.clear()
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=[sample("c")])
    hook.after_val_epoch(runner)
    assert list(runner.added) == ["slide/reconstruction/c"]


def test_overviews_are_shown_in_their_own_colours(runner, tmp_path):
    for name in ("a", "b", "c"):
        red = np.zeros((8, 8, 3), np.uint8)
        red[..., 2] = 255
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), red)
    hook = HOOKS.build({"type": "OverviewPictureHook", "folder": str(tmp_path), "slides": 2})
    hook.before_train(runner)
    assert runner.added == {}, "a resumed run has them"
    runner.iter = 0
    hook.before_train(runner)
    assert list(runner.added) == ["slide/overview/a", "slide/overview/b"]
    picture, step = runner.added["slide/overview/a"]
    assert step == 0
    assert picture[4, 4, 0] > 240
    assert picture[4, 4, 2] < 15


def test_a_run_on_ready_features_has_no_overviews(runner):
    HOOKS.build({"type": "OverviewPictureHook"}).before_train(runner)
    assert runner.added == {}
