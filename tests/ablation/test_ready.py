"""Ready ablations: their section, and every cell of each in small, trained and tabled."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.kind_axes import all_axes
from gigakit.ablation.plan import make_plan, with_sample_section
from gigakit.ablation.ready import ready_ablation
from gigakit.ablation.report import write_report
from gigakit.ablation.run_state import note_start
from gigakit.config import apply_section, load_config, recipes
from gigakit.core.catalogue import Catalogue
from gigakit.core.errors import ConfigError
from gigakit.engine.launch import launch

CATALOGUE = Catalogue()
READY = sorted(
    name.removeprefix("ablations/") for name in recipes() if name.startswith("ablations/")
)
# two steps without pictures; what a recipe prepares is shared, by the smallest of tile encoders
FEW = (
    "train_cfg.max_steps=2",
    "val_dataloader.dataset.views_per_slide=1",
    "custom_hooks=[]",
    "default_hooks.throughput=None",
    "model.encoder.depth=1",
    "model.decoder.depth=1",
    "preparation.weights=None",
    "preparation.encoder.depth=1",
    "preparation.encoder.stem=linear",
    "preparation.encoder.image_size=32",
    "preparation.transform.resize_px=32",
    "preparation.transform.crop_px=32",
)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    generator = np.random.default_rng(0)
    for number in range(8):
        noise = generator.integers(120, 240, (12, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (128, 128)))
    return folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


def test_each_ready_ablation_has_a_tiny_form_of_the_same_axes():
    assert len(READY) >= 12
    for name in READY:
        full, small = (load_config(f"{place}ablations/{name}").values for place in ("", "tiny/"))
        assert full["ablate"]["seeds"] == 3
        assert full["ablate"]["axes"] == small["ablate"]["axes"]


@pytest.mark.parametrize("name", READY)
def test_every_cell_of_a_tiny_form_trains(name, tiles, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = f"tiny/ablations/{name}"
    own = (f"tiles={tiles}", FEW[0]) if name.startswith("tile_") else (f"out={stores}", *FEW)
    values = load_config(recipe, with_sample_section(recipe, own)).values
    axes = all_axes(values, CATALOGUE)
    ready = ready_ablation(values, axes)
    choices = [choose(axes[axis], text, CATALOGUE) for axis, text in ready.axes.items()]
    plan = make_plan(recipe, choices, overrides=own, mode=ready.mode, out=tmp_path / "out")
    assert len(plan.cells) > 1
    plan.write()
    for run in plan.runs:
        folder = plan.out / run.folder
        note_start(folder, run, {}, [])
        loaded = apply_section(load_config(recipe, run.overrides), "sample")
        launch(loaded, work_dir=folder, announce=str)
    comparison = write_report(plan, ["gigakit", "ablate", recipe])
    assert {cell.status for cell in comparison.cells} == {"done"}
    assert [cell.name for cell in comparison.cells] == list(plan.cells)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"axes": {"attentions": None}}, "did you mean 'attention'"),
        ({"axes": ["attention"]}, "write dict"),
        ({"axes": {"attention": None}, "seeds": 0}, "write dict"),
        ({"axes": {"attention": None}, "mode": "random"}, "write dict"),
    ],
)
def test_a_section_that_cannot_be_read_is_told(section, told):
    values = {**load_config("tiny/slide").values, "ablate": section}
    with pytest.raises(ConfigError, match=told):
        ready_ablation(values, recipe_axes(values))
