"""What cells share, told from their configs, and made true by the stores."""

from __future__ import annotations

from gigakit.ablation.axes import choose, free_axis
from gigakit.ablation.kind_axes import all_axes
from gigakit.ablation.plan import make_plan
from gigakit.ablation.sharing import find_sharing, resolved_cells
from gigakit.config import catalogue_of, load_config
from gigakit.engine.run_data import prepare
from gigakit.wsi.sample import obtain_sample

BASE = load_config("tiny/slide")
AXES = all_axes(BASE.values, catalogue_of(BASE))


def plan_of(*texts, recipe="tiny/slide", overrides=(), **named):
    choices = [choose(AXES[name], text) for name, text in named.items()]
    choices += [choose(*free_axis(text)) for text in texts]
    return make_plan(recipe, choices, overrides=overrides)


def test_choices_of_the_model_share_all():
    sharing = find_sharing(plan_of(attention="dilated,local", mask_ratio="0.5,0.75"))
    assert sharing.lines() == [
        "tiles: prepared once, for all cells",
        "features: prepared once, for all cells",
        "data: the same in all cells: runs of one seed draw the same samples in the same order",
    ]
    assert sharing.warnings() == []


def test_an_axis_upstream_prepares_anew_what_it_changes():
    sharing = find_sharing(
        plan_of(segmenter="OtsuSegmenter,SaturationOtsuSegmenter", mask_ratio="0.5,0.75")
    )
    assert sharing.lines()[0] == (
        "tiles: prepared 2 times, for segmenter=OtsuSegmenter (2 cells); "
        "segmenter=SaturationOtsuSegmenter (2 cells)"
    )
    assert [len(groups) for groups in sharing.stages.values()] == [2, 2]
    assert sharing.data == ["preparation.segmenter.type"]
    encoder = find_sharing(plan_of("preparation.encoder.depth=2,4"))
    assert [len(groups) for groups in encoder.stages.values()] == [1, 2]
    # a matter of speed alone
    assert [
        len(g) for g in find_sharing(plan_of("preparation.batch_size=8,16")).stages.values()
    ] == [1, 1]


def test_what_changes_the_samples_is_told():
    sharing = find_sharing(plan_of(crop="window,run"))
    assert sharing.data == [
        "train_dataloader.dataset.augmentations.0.type",
    ]
    assert "cells differ in train_dataloader.dataset.augmentations.0.type" in sharing.lines()[-1]


def test_cells_that_are_one_config_are_told():
    sharing = find_sharing(plan_of(attention="dilated,DilatedAttention"))
    assert sharing.warnings() == [
        "attention=dilated and attention=DilatedAttention are the same config"
    ]


def test_given_features_are_prepared_by_nobody(feature_folder):
    sharing = find_sharing(
        plan_of(attention="dilated,local", overrides=[f"features={feature_folder}"])
    )
    assert sharing.stages == {}
    assert sharing.lines()[0] == "features or tiles: as given, the same in all cells"


def test_the_stores_do_what_is_told(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("GIGAKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    obtain_sample(shared / "data" / "slides" / "cmu-1-small-region.svs")
    plan = plan_of(
        "preparation.encoder.depth=1,2",
        segmenter="OtsuSegmenter,SaturationOtsuSegmenter",
        overrides=[
            "preparation.quality=[]",
            "preparation.tiler.overlap=0.0",
            "preparation.weights=None",
        ],
    )
    lines, folders = [], {}
    for cell, values in resolved_cells(plan).items():
        folders[cell] = prepare(values, lines.append).folder
    told = find_sharing(plan).stages
    stores = tmp_path / "work_dirs" / "stores" / "sample"
    assert len(list((stores / "tiles").iterdir())) == len(told["tiles"]) == 2
    assert len(list((stores / "features").iterdir())) == len(told["features"]) == 4
    # each slide was tiled once for each way to tile, and embedded once for each encoder of it
    assert len(lines) == 6
    assert len(set(folders.values())) == 4
    for cell, values in resolved_cells(plan).items():
        assert prepare(values, lines.append).folder == folders[cell]
    assert len(lines) == 6
