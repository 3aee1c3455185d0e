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
    assert component in kind


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
