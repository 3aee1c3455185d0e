"""``gigakit config``: check, show and compare configs without running them."""

from __future__ import annotations

from typing import Annotated

import typer

from gigakit.cli.options import Overrides

config_app = typer.Typer(no_args_is_help=True)
Recipe = Annotated[str, typer.Argument(metavar="CONFIG", help="Path or name of a recipe.")]


@config_app.command("check")
def check(
    configs: Annotated[
        list[str], typer.Argument(metavar="CONFIG...", help="Paths or names of recipes.")
    ],
    overrides: Overrides = None,
) -> None:
    """Report everything wrong with configs, as file:line; nothing is imported or started."""
    from gigakit.config import all_problems
    from gigakit.core.errors import EXIT_USAGE, ConfigError

    count = 0
    for config in configs:
        try:
            problems = all_problems(config, overrides or ())
        except ConfigError as error:
            problems = str(error).splitlines()
        count += len(problems)
        typer.echo("\n".join(problems) if problems else f"{config}: ok")
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
) -> None:
    """Print the config that a training would use, as runnable text."""
    from gigakit.config import apply_section, dump_config, load_config
    from gigakit.config.writing import flat_items, value_text

    loaded = apply_section(load_config(config, overrides or ()), "sample")
    if not origin:
        typer.echo(dump_config(loaded.values), nl=False)
        return
    lines = [(f"{key} = {value_text(value)}", key) for key, value in flat_items(loaded.values)]
    width = min(max(len(line) for line, _ in lines), 80) if lines else 0
    for line, key in lines:
        typer.echo(f"{line:<{width}}  # {loaded.origin(key)}")


@config_app.command("diff")
def diff(left: Recipe, right: Recipe, overrides: Overrides = None) -> None:
    """Print each key at which two configs differ; overrides apply to both."""
    from gigakit.config import ABSENT, diff_configs, load_config
    from gigakit.config.writing import value_text

    first, second = (load_config(config, overrides or ()) for config in (left, right))
    for difference in diff_configs(first.values, second.values):
        if difference.left is not ABSENT:
            typer.echo(f"- {difference.key} = {value_text(difference.left)}")
        if difference.right is not ABSENT:
            typer.echo(f"+ {difference.key} = {value_text(difference.right)}")
