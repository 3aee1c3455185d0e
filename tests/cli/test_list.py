"""``gigakit list``."""

from __future__ import annotations

import json

import pytest


def test_kinds_and_their_components(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    for text in ("attention", "DilatedAttention", "recipe", "tiny/slide", "of mmengine and torch"):
        assert text in out


def test_kinds_as_json(call):
    names = json.loads(call("list", "--json")[1])
    assert {"DilatedAttention", "FullAttention"} <= set(names["attention"])
    assert "AdamW" in names["optimizer"]
    assert "gigapath_slide" in names["recipe"]


@pytest.mark.parametrize("label", ["attention", "attentions", "ATTENTIONS"])
def test_one_kind(call, label):
    code, out, _ = call("list", label)
    assert code == 0
    assert "DilatedAttention" in out
    assert "LongNet's dilated attention" in out


def test_one_component_in_full(call, repository):
    code, out, _ = call("list", "attention", "DilatedAttention")
    assert code == 0
    assert f"{repository / 'gigakit/nn/attention/dilated.py'}:" in out
    assert "backend: str = 'auto'" in out
    assert "Source: LongNet" in out
    out = call("list", "hook", "EMAHook")[1]
    assert "further arguments" in out
    out = call("list", "optimizer", "AdamW")[1]
    assert "params" in out
    assert "(handed in)" in out
    assert "(required)" in call("list", "hook", "EarlyStoppingHook")[1]


def test_a_component_as_json(call):
    component = json.loads(call("list", "loss", "MaskedEmbeddingLoss", "--json")[1])
    assert component["registry"] == "LOSSES"
    assert {"name", "annotation", "default"} == set(component["arguments"][0])
    kind = json.loads(call("list", "loss", "--json")[1])
    assert [entry for entry in kind if entry.items() <= component.items()]
    assert component["source"].startswith("MAE (He et al. 2022) section 3")
    assert set(component["argument_texts"]) == {"target"}
    used = {(use["recipe"], use["key"]) for use in component["used_in"]}
    assert ("gigapath_slide", "model.loss") in used
    assert "MaskedEmbeddingLoss" in component["example"]


def test_in_full_means_what_it_takes_and_who_uses_it(call, tmp_path):
    out = call("list", "tiler", "GridTiler")[1]
    head, _, example = out.partition("gigakit config check accepts\n")
    assert "GridTiler(*, tile_size_px: int = 256, target_mpp: float = 0.5," in head
    assert "  min_occupancy: float = 0.1\n      0.1 in the paper.\n" in head
    assert "Source: Prov-GigaPath, Methods, preprocessing." in head
    assert "preparation.tiler  (gigapath_slide, tiny/slide)" in head
    assert "Args:" not in head
    file = tmp_path / "example.py"
    file.write_text(example, encoding="utf-8")
    assert call("config", "check", str(file))[:2] == (0, f"{file}: ok\n")


def test_names_of_choices_and_constants_are_spelled_out(call):
    out = call("list", "attention", "DilatedAttention")[1]
    assert "  head_offsets: Literal['block', 'modulo', 'none'] = 'block'\n" in out
    assert "  dilation_ratios: Sequence[int] = (1, 2, 4, 8, 16)\n" in out


def test_what_no_recipe_has_a_place_for(call):
    assert "no recipe has a place for it" in call("list", "executor", "LocalExecutor")[1]


def test_axes(call):
    code, out, _ = call("list", "axes")
    assert code == 0
    assert "mask_ratio" in out
    out = call("list", "axis", "tiny/slide")[1]
    assert "--mask-ratio" in out
    assert "FullAttention" in out
    axes = json.loads(call("list", "axis", "tiny/slide", "--json")[1])
    assert axes["mask_ratio"] == {
        "flag": "--mask-ratio",
        "keys": ["model.mask_ratio"],
        "cells": {"0.5": 0.5, "0.75": 0.75, "0.9": 0.9},
    }


def test_backends(call):
    found = json.loads(call("list", "backend", "--json")[1])
    assert found["backends"]["math"] == {"float32": None, "bfloat16": None}
    assert "math" in call("list", "backend", "math")[1]
    code, _, err = call("list", "backend", "mathe")
    assert code == 2
    assert "choose from math" in err


def test_recipes(call):
    code, out, _ = call("list", "recipe")
    assert code == 0
    assert "gigapath_slide" in out
    assert "Slide encoder" in out
    assert "Run " in call("list", "recipe", "gigapath_slide")[1]
    assert set(json.loads(call("list", "recipes", "--json")[1])) >= {"gigapath_slide", "tiny/slide"}


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (("attentoin",), "did you mean 'attention'"),
        (("zzz",), "see: gigakit list"),
        (("attention", "Dilated"), "looked in gigakit.nn.attention"),
        (("attention", "GridTiler"), "registered as tiler"),
        (("recipe", "gigapath_slid"), "did you mean 'gigapath_slide'"),
    ],
)
def test_unknown_names(call, arguments, fix):
    code, out, err = call("list", *arguments)
    assert (code, out) == (2, "")
    assert fix in err
