"""Attention in TensorBoard: whose, which tags, which step, and what has none."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from gigakit.registry import HOOKS, OBJECTIVES
from gigakit.wsi.tiles import TileTable

TILES = 12


@pytest.fixture
def objective():
    torch.manual_seed(0)
    part = {"width": 16, "depth": 1, "heads": 4}
    return OBJECTIVES.build(
        {
            "type": "MaskedAutoencoder",
            "input_dim": 5,
            "encoder": {"type": "LongNet", **part},
            "decoder": {"type": "MaskedDecoder", **part},
        }
    ).eval()


def item(name, tiles=TILES):
    generator = torch.Generator().manual_seed(0)
    return {
        "slide_id": name,
        "features": torch.randn(tiles, 5, generator=generator),
        "grid": torch.tensor([[float(i % 4), float(i // 4)] for i in range(tiles)]),
    }


@pytest.fixture
def runner(objective):
    added = {}
    return SimpleNamespace(
        objective=objective,
        optim_wrapper=SimpleNamespace(precision="fp32"),
        val_dataloader=SimpleNamespace(dataset=[item("a")]),
        visualizer=SimpleNamespace(
            add_image=lambda tag, picture, step: added.__setitem__(tag, (picture, step))
        ),
        iter=7,
        added=added,
    )


def validate(hook, runner, *names):
    hook.before_val_epoch(runner)
    with torch.inference_mode():
        for index, name in enumerate(names):
            hook.after_val_iter(runner, index, outputs=[item(name)])
    assert runner.added == {}, "a validation cut short is made again"
    hook.after_val_epoch(runner)


def test_the_first_slides_are_drawn_at_each_validation(runner):
    hook = HOOKS.build({"type": "AttentionPictureHook", "slides": 2})
    validate(hook, runner, "a", "b", "c")
    assert list(runner.added) == ["slide/attention/a", "slide/attention/b"]
    picture, step = runner.added["slide/attention/a"]
    assert step == 7
    assert picture.dtype == np.uint8
    assert not runner.objective.training


def test_the_overview_is_the_background_where_it_is_at_hand(runner, tmp_path):
    folder = tmp_path / "overview"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((400, 400, 3), 255, np.uint8))
    table = TileTable.from_grid("a", item("a")["grid"].numpy())
    table.attrs["slide_size"] = (1024, 1024)
    table.save(tmp_path / "a.h5")
    hook = HOOKS.build({"type": "AttentionPictureHook", "folder": str(folder)})
    validate(hook, runner, "a", "b")
    assert runner.added["slide/attention/a"][0].shape == (444, 400, 3)
    assert runner.added["slide/attention/b"][0].shape[0] == 44 + 3 * 14


def test_a_long_slide_and_a_network_without_attention_are_told_once(runner, caplog):
    caplog.set_level("INFO")
    validate(HOOKS.build({"type": "AttentionPictureHook", "max_tokens": 5}), runner, "a", "a")
    runner.objective = torch.nn.Linear(2, 2)
    validate(HOOKS.build({"type": "AttentionPictureHook"}), runner, "a", "a")
    assert caplog.text.count(f"a has {TILES + 1} tokens: no picture") == 1
    assert caplog.text.count("no encoder.attention") == 1
    assert runner.added == {}


def test_the_pattern_is_shown_once_at_the_start(runner):
    state = torch.random.get_rng_state()
    hook = HOOKS.build({"type": "AttentionPatternHook"})
    hook.before_train(runner)
    assert runner.added == {}, "a resumed run has it"
    runner.iter = 0
    hook.before_train(runner)
    ((tag, (picture, step)),) = runner.added.items()
    assert tag == "slide/attention_pattern/a"
    assert step == 0
    # pattern, reach of cls, reach of a tile in the middle
    assert picture.shape[1] == 384 + 300 + 300 + 3 * 16
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_reach_is_left_out_where_a_slide_is_long(runner, caplog):
    caplog.set_level("INFO")
    runner.iter = 0
    HOOKS.build({"type": "AttentionPatternHook", "max_tokens": 2}).before_train(runner)
    ((_, (picture, _)),) = runner.added.items()
    assert picture.shape[1] == 384 + 16
    assert f"a has {TILES} tiles: no picture of the reach" in caplog.text


@pytest.mark.parametrize("absent", ["val_dataloader", "objective"])
def test_the_pattern_needs_a_slide_and_an_encoder(runner, absent):
    runner.iter = 0
    setattr(runner, absent, None)
    HOOKS.build({"type": "AttentionPatternHook"}).before_train(runner)
    assert runner.added == {}
