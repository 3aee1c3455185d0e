"""``gigakit new``: a component of one's own, its test, and a line that tries it."""

from __future__ import annotations

import re
import string
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.completion import complete_makeable

if TYPE_CHECKING:
    from gigakit.cli.new_kinds import Makeable

_NAME = re.compile(r"[A-Z][A-Za-z0-9]{1,39}")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# what only a source checkout of gigakit has
_MARKS = ("gigakit/registry.py", "tests/contracts", "pyproject.toml")


def new(
    kind: Annotated[
        str,
        typer.Argument(
            help="Kind of component, such as attention, tiler or objective.",
            autocompletion=complete_makeable,
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name, a class's: MyAttention.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A folder of your own, outside of a source checkout."),
    ] = None,
) -> None:
    """Write a component that works, to be changed into yours, and what tests and tries it.

    Inside a source checkout of gigakit: the component in its registry's folder and its test, which
    inherits the kind's contract; both pass make check as they are. Elsewhere: a file of your own,
    and a recipe that imports it and compares it with what the recipe has. Nothing is overwritten.
    """
    from gigakit.cli.new_kinds import MAKEABLE

    label = _label(kind)
    made = MAKEABLE[label]
    _check_name(name, made)
    root = None if out else _checkout(Path.cwd())
    if root is not None:
        _write_inside(root, label, name, made)
    else:
        _write_own(out or Path(), label, name, made)


def _label(kind: str) -> str:
    from gigakit.cli.new_kinds import MAKEABLE
    from gigakit.core.catalogue import nearest
    from gigakit.core.errors import ConfigError

    label = kind.lower() if kind.lower() in MAKEABLE else kind.lower().removesuffix("s")
    if label not in MAKEABLE:
        close = nearest(label, MAKEABLE)
        fix = f"did you mean '{close}'?" if close else f"choose from {', '.join(MAKEABLE)}"
        raise ConfigError(f"cannot make '{kind}'", where="gigakit new", fix=fix)
    return label


def _check_name(name: str, made: Makeable) -> None:
    from gigakit.core.catalogue import Catalogue
    from gigakit.core.errors import ConfigError

    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name of a class",
            where="gigakit new",
            fix="write 2 to 40 letters and digits, such as MyAttention",
        )
    registered = [kind.label for kind in Catalogue().kinds_of(name)]
    if registered:
        raise ConfigError(
            f"'{name}' is registered already, as {', '.join(registered)}",
            where="gigakit new",
            fix=f"choose another name; gigakit list {made.kind.label} shows those in use",
        )


def _checkout(folder: Path) -> Path | None:
    """Return the root of the source checkout that a folder lies in."""
    for root in (folder, *folder.parents):
        if all((root / mark).exists() for mark in _MARKS):
            return root
    return None


def _write_inside(root: Path, kind: str, name: str, made: Makeable) -> None:
    package = Path(*made.kind.package.split(".")[1:])
    module = _snake(name)
    files = {
        root / "gigakit" / package / f"{module}.py": _rendered(f"{kind}.py", name),
        root / "tests" / package / f"test_{module}.py": _rendered(f"{kind}_test.py", name),
    }
    written = _write(files)
    recipe = made.place.recipe
    typer.echo(f"\ntest     python -m pytest -n 0 {written[1]}")
    typer.echo(f"look     gigakit list {made.kind.label} {name}")
    if made.place.key is None:
        typer.echo(f"ablate   add to the recipe's ablation, then gigakit ablate {recipe}")
        typer.echo(f"         --{made.place.axis} {made.place.beside[0]},{module}\n")
        typer.echo(_axis_text(name, made), nl=False)
    else:
        typer.echo(f"ablate   gigakit ablate {recipe} --axis {_axis_argument(name, made)}")


def _write_own(folder: Path, kind: str, name: str, made: Makeable) -> None:
    from gigakit.config import find_recipe

    module = _snake(name)
    place = made.place
    text = (
        f'"""{place.recipe} with {name} as a choice: see its ablation."""\n\n'
        f'_base_ = ["{find_recipe(place.recipe)}"]\n\n'
        f'custom_imports = dict(imports=["{module}.py"])\n'
    )
    files = {
        folder / f"{module}.py": _rendered(f"{kind}.py", name),
        folder / f"{module}_recipe.py": text + _axis_text(name, made),
    }
    recipe = _write(files)[1]
    typer.echo(f"\ncheck    gigakit config check {recipe}")
    flag = f"--{place.axis.replace('_', '-')}"
    typer.echo(f"ablate   gigakit ablate {recipe} {flag} {place.beside[0]},{module}")


def _axis_text(name: str, made: Makeable) -> str:
    """Return an ``ablation`` section that compares the component with what the recipe has."""
    from gigakit.config import dump_config

    place = made.place
    cells = dict([place.beside, (_snake(name), place.value(name))])
    axis = {"sets": cells} if place.key is None else {"key": place.key, "cells": cells}
    return dump_config({"ablation": {place.axis: axis}})


def _axis_argument(name: str, made: Makeable) -> str:
    """Return the same as an argument of ``--axis``: component by name, lists as they are."""
    _, beside = made.place.beside
    if made.place.listed:
        return f'"{made.place.key}={beside!r},{made.place.value(name)!r}"'
    last = str(made.place.key).rpartition(".")[2]
    if made.kind.label in last:
        return f"{made.place.key}={beside['type']},{name}"
    return f'"{made.place.key}={beside!r},{made.place.value(name)!r}"'


def _rendered(template: str, name: str) -> str:
    folder = resources.files("gigakit.cli") / "templates"
    text = (folder / f"{template}.txt").read_text(encoding="utf-8")
    return string.Template(text).substitute(Name=name, name=_snake(name))


def _write(files: dict[Path, str]) -> list[Path]:
    """Write all files or none, and return their paths as people write them."""
    from gigakit.config.expressions import shown_path
    from gigakit.core.errors import ConfigError
    from gigakit.core.files import write_text

    there = [path for path in files if path.exists()]
    if there:
        raise ConfigError("is there already", where=there[0], fix="choose another name")
    for path, text in files.items():
        write_text(path, text)
        typer.echo(f"written  {shown_path(path)}")
    return [Path(shown_path(path)) for path in files]


def _snake(name: str) -> str:
    return "_".join(_WORD.split(name)).lower()
