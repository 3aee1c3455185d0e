"""``gigakit new``: what it writes passes all checks as it is, in a copy of the sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from gigakit.cli.new import _snake
from gigakit.cli.new_kinds import MAKEABLE
from gigakit.config import check_config, load_config

# the longest name allowed, and one of the shortest: neither may break the format
NAMES = ("My{}", "AnExtraordinarilyLongNameOf{}")
# of an objective's contract, what takes processes of its own: minutes, and tested by its own class
SLOW = ("killed", "two_processes", "masks_differ")
MAKE = """
import sys
from gigakit.cli import new

for line in sys.stdin:
    kind, name = line.split()
    if not name.startswith("My"):
        # reading the catalogue anew each time is most of the work
        new._check_name = lambda *_: None
    new.new(kind, name, out=None)
"""
CELLS = """
import shlex, sys
from gigakit.ablation.axes import choose, free_axis
from gigakit.config import load_config
from gigakit.config.problems import find_problems
from gigakit.core.catalogue import Catalogue

known = Catalogue()
for line in sys.stdin:
    _, _, recipe, _, axis = shlex.split(line)
    for choice in choose(*free_axis(axis), known):
        set_by_it = [f"{key}={value!r}" for key, value in choice.settings.items()]
        found = find_problems(load_config(recipe, set_by_it).values, known)
        print(choice.label, *found)
"""


@pytest.fixture(scope="module")
def made(repository, tmp_path_factory):
    """Return a copy of the sources with two components of each kind, and what was said."""
    copy = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("gigakit", "registry_configs", "tests", "tools"):
        shutil.copytree(repository / name, copy / name, ignore=ignored)
    shutil.copy(repository / "pyproject.toml", copy)
    lines = [f"{kind} {name.format(kind.capitalize())[:40]}" for name in NAMES for kind in MAKEABLE]
    return copy, run(copy, "-c", MAKE, given="\n".join(lines))


def run(copy, *command, given=None):
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, input=given, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def written(made):
    return re.findall(r"^written  (\S+)$", made[1], re.MULTILINE)


def test_a_component_and_its_test_are_written_for_every_kind(made):
    paths = written(made)
    assert len(paths) == 2 * 2 * len(MAKEABLE)
    assert "gigakit/nn/attention/my_attention.py" in paths
    assert "tests/nn/attention/test_my_attention.py" in paths


def test_format_lint_and_spelling(made):
    paths = written(made)
    run(made[0], "-m", "ruff", "format", "--check", *paths)
    run(made[0], "-m", "ruff", "check", *paths)
    run(made[0], "-m", "codespell_lib", *paths)


def test_layers_and_dead_code(made):
    run(made[0], "-m", "vulture")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run(made[0], "-c", code)


def test_types(made, repository):
    """All of them where mypy has read torch before; else what needs no reading of it."""
    paths = [path for path in written(made) if path.startswith("gigakit/")]
    if (repository / ".mypy_cache").is_dir():
        shutil.copytree(repository / ".mypy_cache", made[0] / ".mypy_cache")
        run(made[0], "-m", "mypy")
        return
    run(
        made[0], "-m", "mypy", "--follow-imports=skip", "--allow-subclassing-any",
        "--allow-untyped-decorators", "--no-warn-unused-ignores", "--no-warn-return-any",
        *(flag for path in paths for flag in ("-m", path.removesuffix(".py").replace("/", "."))),
    )  # fmt: skip


def test_their_own_tests_and_the_form_of_components(made):
    paths = [path for path in written(made) if "test_my_" in path]
    chosen = f"(test_my_ or My) and not ({' or '.join(SLOW)})"
    out = run(
        made[0], "-m", "pytest", "-n", "0", "-k", chosen, "tests/test_architecture.py", *paths
    )
    assert "passed" in out or "[100%]" in out


def test_the_ablation_of_each_has_two_cells_that_can_be_set(made):
    lines = [
        line.removeprefix("ablate   ")
        for line in made[1].splitlines()
        if line.startswith("ablate   gigakit") and "My" in line
    ]
    # an objective needs several keys, so a section is printed for it
    assert len(lines) == len(MAKEABLE) - 1
    cells = run(made[0], "-c", CELLS, given="\n".join(lines)).splitlines()
    assert len(cells) == 2 * len(lines)
    assert "MyAttention" in cells
    assert not [cell for cell in cells if "Finding(" in cell]


@pytest.mark.parametrize("kind", MAKEABLE)
def test_elsewhere_it_is_a_file_and_a_recipe_of_ones_own(call, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("new", kind, "OfMyOwn", "--out", "own")
    assert (code, err) == (0, "")
    assert (tmp_path / "own" / "of_my_own.py").is_file()
    loaded = load_config("own/of_my_own_recipe.py")
    assert [str(problem) for problem in check_config(loaded)] == []
    axis = loaded.values["ablation"][MAKEABLE[kind].place.axis]
    assert "of_my_own" in axis.get("cells", axis.get("sets"))
    assert "gigakit config check own/of_my_own_recipe.py" in out


def test_outside_of_a_checkout_the_present_folder_is_ones_own(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("new", "tilers", "RowTiler")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"row_tiler.py", "row_tiler_recipe.py"}


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (("attentoin", "Mine"), "did you mean 'attention'?"),
        (("reader", "Mine"), "choose from attention, position"),
        (("attention", "mine"), "such as MyAttention"),
        (("attention", "My-Attention"), "such as MyAttention"),
        (("attention", "A" * 41), "2 to 40 letters"),
        (("attention", "FullAttention"), "registered already, as attention"),
        (("tiler", "FullAttention"), "gigakit list tiler"),
    ],
)
def test_what_cannot_be_made_is_refused(call, tmp_path, monkeypatch, arguments, fix):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("new", *arguments)
    assert (code, out) == (2, "")
    assert fix in err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_recipe.py").write_text("mine", encoding="utf-8")
    code, _, err = call("new", "attention", "Mine")
    assert code == 2
    assert "mine_recipe.py: is there already" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine_recipe.py"]


def test_names_of_files():
    names = ("MyAttention", "HSVRange", "GridSinCos2d", "Dino")
    assert [_snake(name) for name in names] == [
        "my_attention",
        "hsv_range",
        "grid_sin_cos2d",
        "dino",
    ]
