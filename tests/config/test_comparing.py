"""The difference of two configs."""

from __future__ import annotations

from gigakit.config import ABSENT, Difference, diff_configs


def test_names_each_key_that_differs():
    left = {"a": 1, "b": {"x": 1, "y": [1, {"z": 2}]}, "only": None}
    right = {"a": 1, "b": {"x": 2, "y": [1, {"z": 3}, 4]}, "new": {"k": 1}}
    assert diff_configs(left, right) == [
        Difference("b.x", 1, 2),
        Difference("b.y.1.z", 2, 3),
        Difference("b.y.2", ABSENT, 4),
        Difference("only", None, ABSENT),
        Difference("new", ABSENT, {"k": 1}),
    ]


def test_equal_configs_do_not_differ():
    config = {"a": [1, (2, 3)], "b": {"c": None}}
    assert diff_configs(config, config) == []


def test_kinds_of_value_differ_though_python_calls_them_equal():
    differences = diff_configs({"a": 1, "b": [1], "c": {}}, {"a": True, "b": (1,), "c": None})
    assert [difference.key for difference in differences] == ["a", "b", "c"]
