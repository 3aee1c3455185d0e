"""The text dialect: equal to mmengine's reading, with each value's origin, and no code run."""

from __future__ import annotations

import warnings

import pytest

from gigakit.config import load_config
from gigakit.config.recipes import recipes_folder
from gigakit.core.errors import ConfigError

SHIPPED = sorted(recipes_folder().rglob("*.py"))


def _mmengine(path):
    from mmengine.config import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = Config.fromfile(str(path)).to_dict()
    return {key: value for key, value in values.items() if not key.startswith("_")}


def test_the_shipped_configs_are_there():
    assert recipes_folder() / "gigapath_slide.py" in SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(recipes_folder())))
def test_shipped_configs_equal_mmengines_reading(path):
    values = load_config(path).values
    assert values == _mmengine(path)
    assert values


CASES = {
    "merge": 'model = dict(b=dict(y=3, z=(1, 2)), c=[9])\nown = "x"',
    "delete": "model = dict(b=dict(_delete_=True, q=1))",
    "delete all": "model = dict(_delete_=True, q=1)",
    "nothing to delete": "other = dict(_delete_=True, q=1)",
    "nested delete": "model = dict(_delete_=True, q=dict(_delete_=True, r=2))",
    "scalar over dict": "model = 5",
    "new keys": "model = dict(e=dict(f=dict(g=None)))",
    "arithmetic": "a = 3 * 2 ** 4 // 5 - 1\nb = -a / 7 if a > 2 and not a == 3 else 0",
    "comprehensions": "a = [dict(n=i) for i in range(3) if i]\nb = {f'k{i}': i for i in (1, 2)}",
    "functions": "a = sum([1, 2]) + len('abc') + max(1, 2) + round(2.6)\nb = sorted([3, 1])",
    "helpers": "_h = dict(r=1)\na = dict(**_h, s=_h)\nb = [*[1, 2], 3]\nc = _h | dict(t=2)",
    "slices": "a = [1, 2, 3][1:]\nb = (4, 5)[0]\nc = float('inf')",
    "names in bases": "_base_ = ['base.py', 'second.py']\nsecond = dict(v=2)",
    "bases of bases": "_base_ = './sub/third.py'\nmodel = dict(a=7)",
}


@pytest.mark.parametrize("text", CASES.values(), ids=list(CASES))
def test_merging_equals_mmengines(write, text):
    write("model = dict(a=1, b=dict(x=1, y=2), c=[1, 2])\n_helper = 3", "base.py")
    write("second = dict(u=1)", "second.py")
    write("_base_ = '../base.py'\nmodel = dict(c=None)", "sub/third.py")
    path = write(text if "_base_" in text else f"_base_ = 'base.py'\n{text}", "child.py")
    assert load_config(path).values == _mmengine(path)


REFUSED = {
    "import os": "no imports",
    "from a import b": "no imports",
    "def f(): pass": "functions and classes",
    "a = 1\nfor i in [1]: pass": "2: a config holds assignments",
    "a = open('x')": "'open",
    "a = (lambda: 1)()": "allowed",
    "a = lambda: 1": "functions",
    "a = ().__class__": "attributes",
    "a = 'x'.join(['a'])": "allowed",
    "a = {1, 2}": "sets",
    "a = range(3)": "a range is no config value",
    "a = b": "'b' is not defined in this file",
    "a = dict(x=_base_.y)": "attributes",
    "a = 1 / 0": "ZeroDivisionError",
    "a, b = 1, 2": "assignments",
    "__builtins__ = 3": "assignments",
    "a = [x for x in __import__('os')]": "allowed",
    "a = dict(x=1": "never closed",
    "_base_ = 'absent.py'": "no such base: absent.py",
    "_base_ = 'recipe.py'": "includes itself",
    "_base_ = 'mmpretrain::x.py'": "cannot inherit",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=list(REFUSED))
def test_what_is_refused_names_file_and_line(write, text, message):
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert message in str(caught.value)
    assert str(caught.value).startswith("recipe.py:")


def test_two_bases_with_the_same_key_are_both_named(write):
    write("model = 1", "a.py")
    write("model = 2", "b.py")
    with pytest.raises(ConfigError, match=r"recipe.py:2: 'model' is in two bases, a.py and b.py"):
        load_config(write("x = 1\n_base_ = ['a.py', 'b.py']"))


def test_a_dict_over_something_else_asks_for_delete(write):
    write("model = dict(a=[1])", "base.py")
    with pytest.raises(ConfigError, match=r"recipe.py:3: 'model.a' is a dict .* add _delete_=True"):
        load_config(write("_base_ = 'base.py'\nmodel = dict(\n    a=dict(b=1))"))


def test_every_value_knows_its_line(write):
    write(
        """
        model = dict(
            a=1,
            b=dict(
                x=1,
            ),
        )
        """,
        "base.py",
    )
    loaded = load_config(
        write(
            """
            _base_ = "base.py"
            _hooks = dict(
                every=3,
            )
            model = dict(
                b=dict(y=2),
                c={"k":
                   1},
            )
            hooks = [
                dict(type="A"),
                _hooks,
            ]
            many = [dict(n=i) for i in range(2)]
            """
        )
    )
    found = {
        key: loaded.origin(key)
        for key in (
            "model.a",
            "model.b.x",
            "model.b.y",
            "model.c.k",
            "hooks.0.type",
            "hooks.1.every",
        )
    }
    assert found == {
        "model.a": "base.py:2",
        "model.b.x": "base.py:4",
        "model.b.y": "recipe.py:6",
        "model.c.k": "recipe.py:8",
        "hooks.0.type": "recipe.py:11",
        "hooks.1.every": "recipe.py:3",
    }
    # what a comprehension makes is as old as the comprehension
    assert loaded.origin("many.1.n") == "recipe.py:14"


def test_replaced_values_forget_their_origin(write):
    write("model = dict(b=dict(x=1))", "base.py")
    loaded = load_config(write("_base_ = 'base.py'\nmodel = dict(b=dict(_delete_=True, y=1))"))
    assert "model.b.x" not in loaded.origins
    assert loaded.origin("model.b.y") == "recipe.py:2"
