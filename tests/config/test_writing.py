"""A written config reads as the same, by gigakit and by mmengine."""

from __future__ import annotations

import math
import warnings

import pytest

from gigakit.config import dump_config, load_config
from gigakit.config.recipes import recipes
from gigakit.config.writing import flat_items

VALUES = {
    "quoted": "quote ' \" \\ µ \n",
    "numbers": [1, -2.5, 1e-30, float("inf"), -float("inf"), True, None],
    "tuples": ((), (1,), (1, (2, 3))),
    "empty": {"dict": {}, "list": []},
    "keys": {"a.b": 1, "class": 2, "with space": {"ok": 3}, 4: 5},
    "deep": {"a": [{"b": {"c": ["long text " * 5] * 4}}] * 2},
}


def _mmengine(path):
    from mmengine.config import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Config.fromfile(str(path)).to_dict()


@pytest.mark.parametrize("name", ["made up", *recipes()])
def test_round_trip(tmp_path, name):
    values = VALUES if name == "made up" else load_config(name).values
    text = dump_config(values)
    path = tmp_path / "config.py"
    path.write_text(text, encoding="utf-8")
    again = load_config(path).values
    assert repr(again) == repr(values)
    assert _mmengine(path) == values
    assert dump_config(again) == text


def test_nan_survives(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(dump_config({"a": math.nan}), encoding="utf-8")
    assert math.isnan(load_config(path).values["a"])


def test_lines_are_short_and_leaves_flat():
    assert max(map(len, dump_config({"a": VALUES["numbers"] * 9}).splitlines())) <= 100
    assert dict(flat_items({"a": {"b": [1, 2], "c": {}}, "d": [{"e": 3}]})) == {
        "a.b": [1, 2],
        "a.c": {},
        "d.0.e": 3,
    }
