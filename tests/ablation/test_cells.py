"""Cells: modes, the recipe's own values, names, and the baseline."""

from __future__ import annotations

import json

import pytest

from gigakit.ablation.axes import choose, free_axis, recipe_axes
from gigakit.ablation.baseline import find_baseline
from gigakit.ablation.cells import cell_names, make_cells, own_choice
from gigakit.ablation.kind_axes import all_axes
from gigakit.ablation.listing import read_cells
from gigakit.ablation.plan import make_plan
from gigakit.config import catalogue_of, load_config
from gigakit.core.errors import ConfigError

BASE = load_config("tiny/slide")
AXES = all_axes(BASE.values, catalogue_of(BASE))


def chosen(**texts):
    return [choose(AXES[name], text) for name, text in texts.items()]


def free(text):
    axis, values = free_axis(text, AXES)
    return choose(axis, values)


def titles(choices, mode):
    return [cell.title for cell in make_cells(BASE, choices, mode)]


def test_a_grid_crosses_all():
    assert titles(chosen(attention="dilated,local", mask_ratio="0.5,0.75"), "grid") == [
        "attention=dilated,mask_ratio=0.5", "attention=dilated,mask_ratio=0.75",
        "attention=local,mask_ratio=0.5", "attention=local,mask_ratio=0.75",
    ]  # fmt: skip


def test_one_at_a_time_varies_around_the_recipe():
    choices = chosen(attention="local,linear", mask_ratio="0.5,0.75,0.9")
    assert titles(choices, "one-at-a-time") == [
        "attention=dilated,mask_ratio=0.75", "attention=local,mask_ratio=0.75",
        "attention=linear,mask_ratio=0.75", "attention=dilated,mask_ratio=0.5",
        "attention=dilated,mask_ratio=0.9",
    ]  # fmt: skip
    first, *rest = make_cells(BASE, choices, "one-at-a-time")
    assert load_config("tiny/slide", _texts(first.settings)).values == BASE.values
    assert all(load_config("tiny/slide", _texts(c.settings)).values != BASE.values for c in rest)


def _texts(settings):
    return [f"{key}={value!r}" for key, value in settings.items()]


@pytest.mark.parametrize(
    ("axis", "label", "settings"),
    [
        (AXES["attention"], "dilated", {"model.encoder.attention": {"type": "DilatedAttention"}}),
        (AXES["reader"], "none", {}),
        (AXES["tiler"], "GridTiler", {}),
        (AXES["augmentation"], "recipe", {}),
        (free_axis("model.encoder.depth=1")[0], "2", {}),
        (free_axis("optim_wrapper.optimizer.betas=1")[0], "(0.9,0.95)", {}),
    ],
)
def test_the_recipes_own_value_has_a_label(axis, label, settings):
    choice = own_choice(axis, BASE)
    assert (choice.label, choice.settings) == (label, settings)


def test_a_listed_cell_has_the_recipes_value_of_what_it_leaves_open():
    listed = [chosen(attention="local")[0], chosen(mask_ratio="0.5")[0]]
    assert titles(listed, "list") == [
        "attention=local,mask_ratio=0.75", "attention=dilated,mask_ratio=0.5",
    ]  # fmt: skip


def test_a_part_is_set_after_the_whole_whatever_the_order():
    inner = free("model.encoder.attention.reach=8")
    (cell,) = make_cells(BASE, [inner, *chosen(attention="local")])
    assert list(cell.settings) == ["model.encoder.attention", "model.encoder.attention.reach"]


def test_two_axes_that_set_one_key_are_refused():
    clash = [*chosen(mask_ratio="0.5"), free("model.mask_ratio=0.9")]
    with pytest.raises(ConfigError, match=r"mask_ratio and model.mask_ratio both set"):
        make_plan("tiny/slide", clash, overrides=["features=x"])


def test_names_are_folders_and_differ():
    (first,) = choose(free_axis("a.word=x")[0], "b/c")
    (second,) = choose(free_axis("a.word=x")[0], "b:c")
    long = choose(free_axis("a.word=x")[0], "x" * 300)
    names = cell_names(make_cells(BASE, [[first, second, *long]]))
    assert len(set(names)) == 3
    assert all(len(name) < 200 and "/" not in name for name in names)


def test_free_axes_of_one_last_word_have_names_of_their_own():
    assert free_axis("model.encoder.depth=1")[0].name == "depth"
    assert free_axis("model.decoder.depth=1", {"depth"})[0].name == "decoder.depth"
    assert free_axis("preparation.seed=1")[0].name == "preparation.seed"
    assert free_axis("param_scheduler.0=1")[0].name == "param_scheduler.0"


CELLS = {
    "a=x,b=1": {"a": "x", "b": "1"},
    "a=x,b=2": {"a": "x", "b": "2"},
    "a=y,b=1": {"a": "y", "b": "1"},
    "a=y,b=2": {"a": "y", "b": "2"},
}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, "a=x,b=2"),
        ("a=y,b=1", "a=y,b=1"),
        ("y,1", "a=y,b=1"),
        # b stays that of the recipe's own cell
        ("y", "a=y,b=2"),
        ("a=y", "a=y,b=2"),
    ],
)
def test_a_baseline_is_a_cell_or_some_labels(wanted, found):
    assert find_baseline(CELLS, "a=x,b=2", wanted) == found


def test_an_unknown_or_open_baseline_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'a=y,b=1'"):
        find_baseline(CELLS, "a=x,b=2", "a=yy,b=1")
    cells = {name: labels for name, labels in CELLS.items() if labels["b"] == "1" or name[2] == "y"}
    with pytest.raises(ConfigError, match="several cells are 'y'"):
        find_baseline({**cells, "own": {"a": "x", "b": "3"}}, "own", "y")


def test_the_plan_names_the_cell_that_is_the_recipe(tmp_path, feature_folder):
    def baseline(text, **options):
        plan = make_plan(
            "tiny/slide", chosen(mask_ratio=text), overrides=[f"features={feature_folder}"],
            out=tmp_path, **options,
        )  # fmt: skip
        plan.write()
        assert json.loads((tmp_path / "plan.json").read_text())["baseline"] == plan.baseline
        return plan.baseline

    assert baseline("0.5,0.75") == "mask_ratio=0.75"
    assert baseline("0.5,0.9") == "mask_ratio=0.5"
    assert baseline("0.5,0.9", baseline="0.9") == "mask_ratio=0.9"


def test_all_bad_cells_are_told_at_once(feature_folder):
    with pytest.raises(ConfigError) as caught:
        make_plan(
            "tiny/slide",
            [free("model.encoder.dropout=0.1,much"), *chosen(mask_ratio="0.5,half")],
            overrides=[f"features={feature_folder}"],
        )
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("cell encoder.dropout=") for line in lines)


def test_an_axis_of_what_is_not_prepared_is_refused(feature_folder):
    with pytest.raises(ConfigError, match="nothing is prepared"):
        make_plan("tiny/slide", chosen(tiler="GridTiler"), overrides=[f"features={feature_folder}"])


def written(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cells.txt", "# two\nattention=flash mask-ratio=0.5\n\n'model.encoder.depth=1'  # one\n"),
        ("cells.csv", "attention,mask_ratio,model.encoder.depth\nflash,0.5,\n,,1\n"),
        ("cells.json", '[{"attention": "flash", "mask_ratio": 0.5}, {"model.encoder.depth": 1}]'),
    ],
)
def test_cells_are_read_from_a_file(tmp_path, name, text):
    cells = read_cells(written(tmp_path, name, text), AXES)
    assert [{c.axis.name: (c.label, c.axis.key) for c in cell} for cell in cells] == [
        {
            "attention": ("flash", "model.encoder.attention"),
            "mask_ratio": ("0.5", "model.mask_ratio"),
        },
        {"depth": ("1", "model.encoder.depth")},
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "lists no cells"),
        ("a.txt", "attention=dilatd", "a.txt:1: attention: 'dilatd'.*did you mean 'dilated'"),
        ("a.txt", "attentionn=dilated", "did you mean 'attention'"),
        ("a.txt", "attention", "'attention' has no value"),
        ("a.txt", "attention=flash attention=dilated", "is there twice"),
        ("a.txt", "attention=flash,dilated", "several values"),
        ("a.txt", "attention=flash\nattention=flash", "a.txt:2: is the cell of line 1"),
        ("a.txt", "attention='flash", "No closing quotation"),
        ("a.csv", "attention\nflash,0.5", "more fields"),
        ("a.json", "{}", "no list of objects"),
        ("a.json", "[", "cannot be read"),
    ],
)
def test_a_bad_file_is_told_by_its_place(tmp_path, name, text, message):
    with pytest.raises(ConfigError, match=message):
        read_cells(written(tmp_path, name, text), AXES)
    with pytest.raises(ConfigError, match="No such file"):
        read_cells(tmp_path / "none.txt", AXES)


def test_every_declared_cell_of_the_recipe_is_a_plan():
    axes = recipe_axes(load_config("gigapath_slide").values)
    listed = [[choice] for axis in axes.values() for choice in choose(axis, ",".join(axis.cells))]
    plan = make_plan("gigapath_slide", listed, mode="list")
    assert len(plan.runs) == len({run.digest for run in plan.runs}) + _same_as_the_recipe(plan)


def _same_as_the_recipe(plan):
    """Count the cells that are the recipe itself beyond the first."""
    own = next(run.digest for run in plan.runs if run.cell == plan.baseline)
    return sum(run.digest == own for run in plan.runs) - 1
