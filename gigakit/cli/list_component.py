"""One component in full: what it is for, takes and comes from, who uses it, and how to name it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigakit.config.examples import Use
    from gigakit.core.catalogue import Catalogue, Component
    from gigakit.core.source import Argument

_WIDTH = 96


def print_component(component: Component, catalogue: Catalogue, *, as_json: bool) -> None:
    """Print a component: signature, docstring, arguments, uses and an example.

    Args:
        component: which one.
        catalogue: where the other components of the example are looked up.
        as_json: as JSON, else as text.
    """
    from gigakit.config.examples import all_uses, example_config
    from gigakit.core.docstrings import argument_texts, source_text

    uses = all_uses()
    own = [use for use in uses if use.value["type"] == component.name]
    texts = argument_texts(component.docstring)
    example = example_config(component, uses, catalogue)
    if as_json:
        found = {
            **asdict(component),
            "source": source_text(component.docstring),
            "argument_texts": texts,
            "used_in": [
                {"recipe": use.recipe, "key": use.key, "origin": use.origin} for use in own
            ],
            "example": example,
        }
        typer.echo(json.dumps(found, indent=2))
        return
    _print_head(component)
    _print_arguments(component, texts)
    _print_uses(own)
    if example is None:
        typer.echo("\nexample: no recipe has a place for it")
    else:
        typer.echo(f"\nexample, a file that gigakit config check accepts\n{example}", nl=False)


def _print_head(component: Component) -> None:
    from gigakit.core.docstrings import without_arguments
    from gigakit.core.kinds import KINDS

    label = KINDS[component.registry].label
    typer.echo(f"{component.name}  ({label}, {component.registry}, {component.origin})")
    typer.echo(f"{component.file}:{component.line}\n")
    star = "*, " if component.arguments else ""
    further = ", ..." if component.open else ""
    given = ", ".join(_declared(argument) for argument in component.arguments)
    call = f"{component.name}({star}{given}{further})"
    typer.echo(textwrap.fill(call, _WIDTH, subsequent_indent="    ", break_long_words=False))
    typer.echo(f"\n{without_arguments(component.docstring) or 'no docstring'}")


def _print_arguments(component: Component, texts: dict[str, str]) -> None:
    if component.arguments:
        typer.echo("\narguments")
    for argument in component.arguments:
        typer.echo(f"  {_declared(argument)}{_note(argument, component)}")
        if text := texts.get(argument.name):
            indent = " " * 6
            lines = textwrap.fill(
                text, _WIDTH, initial_indent=indent, subsequent_indent=indent,
                break_on_hyphens=False,
            )  # fmt: skip
            typer.echo(lines)
    if component.open:
        typer.echo("  ...: further arguments that its source does not name")


def _print_uses(uses: Sequence[Use]) -> None:
    """Print where recipes name a component; what many inherit from one file is one line."""
    places: dict[tuple[str, str], list[str]] = {}
    for use in uses:
        places.setdefault((use.origin, use.key), []).append(use.recipe)
    typer.echo("\nin recipes" if places else "\nin no recipe")
    for (origin, key), names in places.items():
        typer.echo(f"  {origin}  {key}  ({', '.join(names)})")


def _declared(argument: Argument) -> str:
    annotation = f": {argument.annotation}" if argument.annotation else ""
    default = f" = {argument.default}" if argument.default is not None else ""
    return f"{argument.name}{annotation}{default}"


def _note(argument: Argument, component: Component) -> str:
    from gigakit.core.kinds import KINDS

    if argument.name in KINDS[component.registry].injected:
        return "  (handed in)"
    return "  (required)" if argument.required else ""
