"""``gigakit config``: check, show and compare configs without running them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.completion import complete_recipe
from gigakit.cli.options import AsJson, Overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from gigakit.config import LoadedConfig, Node

config_app = typer.Typer(no_args_is_help=True)
Recipe = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="Path or name of a recipe, or a run's folder.",
        autocompletion=complete_recipe,
    ),
]
_INDENT = "  "


@config_app.command("check")
def check(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG...",
            help="Paths or names of recipes, or runs' folders.",
            autocompletion=complete_recipe,
        ),
    ],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Report everything wrong with configs, as file:line; nothing is imported or started."""
    from gigakit.core.errors import EXIT_USAGE

    problems = {config: _problems(config, overrides or ()) for config in configs}
    count = sum(map(len, problems.values()))
    if as_json:
        typer.echo(json.dumps(problems, indent=2))
    else:
        for config, found in problems.items():
            typer.echo("\n".join(found) if found else f"{config}: ok")
    if count:
        typer.echo(f"{count} problem{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(EXIT_USAGE)


@config_app.command("show")
def show(
    config: Recipe,
    overrides: Overrides = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="One line a value, with where it comes from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the config that a training would use, as runnable text."""
    from gigakit.config import dump_config
    from gigakit.config.writing import flat_items, value_text

    loaded = _as_trained(config, overrides)
    if as_json and origin:
        found = {
            key: {"value": value, "origin": loaded.origin(key)}
            for key, value in flat_items(loaded.values)
        }
        typer.echo(json.dumps(found, indent=2))
    elif as_json:
        typer.echo(json.dumps(loaded.values, indent=2))
    elif not origin:
        typer.echo(dump_config(loaded.values), nl=False)
    else:
        lines = [(f"{key} = {value_text(value)}", key) for key, value in flat_items(loaded.values)]
        width = min(max(len(line) for line, _ in lines), 80) if lines else 0
        for line, key in lines:
            typer.echo(f"{line:<{width}}  # {loaded.origin(key)}")


@config_app.command("diff")
def diff(left: Recipe, right: Recipe, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print each key at which two configs, or runs, differ; overrides apply to both.

    Compared is what a training would use: on the sample slide, with the sample section.
    """
    from gigakit.config import ABSENT, diff_configs
    from gigakit.config.writing import value_text

    first, second = (_as_trained(config, overrides) for config in (left, right))
    differences = diff_configs(first.values, second.values)
    if as_json:
        entries = []
        for found in differences:
            sides = (("left", found.left, first), ("right", found.right, second))
            there = {
                name: {"value": value, "origin": loaded.origin(found.key)}
                for name, value, loaded in sides
                if value is not ABSENT
            }
            entries.append({"key": found.key, **there})
        typer.echo(json.dumps(entries, indent=2))
        return
    for difference in differences:
        if difference.left is not ABSENT:
            typer.echo(f"- {difference.key} = {value_text(difference.left)}")
        if difference.right is not ABSENT:
            typer.echo(f"+ {difference.key} = {value_text(difference.right)}")


@config_app.command("tree")
def tree(config: Recipe, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print the components of a config, nested: what each is, and where it was named."""
    from gigakit.config import component_tree

    loaded = _as_trained(config, overrides)
    nodes = component_tree(loaded)
    if as_json:
        typer.echo(json.dumps([asdict(node) for node in nodes], indent=2))
    elif sys.stdout.isatty():
        _print_tree(loaded, nodes)
    else:
        typer.echo("\n".join([loaded.name, *_lines(nodes, _INDENT)]))


def _problems(config: str, overrides: Sequence[str]) -> list[str]:
    from gigakit.config import all_problems
    from gigakit.core.errors import ConfigError

    try:
        return all_problems(config, overrides)
    except ConfigError as error:
        return str(error).splitlines()


def _as_trained(config: str, overrides: Sequence[str] | None) -> LoadedConfig:
    from gigakit.config import apply_section, load_config

    return apply_section(load_config(config, overrides or ()), "sample")


def _lines(nodes: Sequence[Node], indent: str) -> list[str]:
    lines = []
    for node in nodes:
        what = f": {node.type} ({node.kind or 'unknown'})" if node.type else ""
        summary = f"  {node.summary}" if node.summary else ""
        lines.append(f"{indent}{node.key}{what}  [{node.origin}]{summary}")
        lines += _lines(node.children, indent + _INDENT)
    return lines


def _print_tree(loaded: LoadedConfig, nodes: Sequence[Node]) -> None:
    from rich.console import Console
    from rich.tree import Tree

    whole = Tree(loaded.name)
    for node in nodes:
        _add(whole, node)
    Console().print(whole)


def _add(parent: Tree, node: Node) -> None:
    from rich.text import Text

    # text of its own, since brackets in it are no markup
    label = Text(node.key)
    if node.type:
        label.append(f"  {node.type}", "bold cyan").append(f" {node.kind or 'unknown'}", "magenta")
    label.append(f"  {node.origin}", "dim")
    if node.summary:
        label.append(f"\n{node.summary}", "italic")
    branch = parent.add(label)
    for child in node.children:
        _add(branch, child)
