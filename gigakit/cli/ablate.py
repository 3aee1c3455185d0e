"""``gigakit ablate``: train every cell of an ablation and print one table."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigakit.cli.options import Overrides

if TYPE_CHECKING:
    from gigakit.ablation.axes import Axis

DEFAULT_RECIPE = "gigapath_slide"


def ablate_command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command, with a real flag for each axis of the recipe that the arguments name.

    Args:
        arguments: the command line after ``ablate``; the recipe is found in it by a first look,
            since its axes decide which flags exist.
    """
    from gigakit.ablation.axes import recipe_axes
    from gigakit.config import load_config

    recipe = _recipe_of(arguments)
    axes = recipe_axes(load_config(recipe).values)

    def ablate(**given: Any) -> None:
        _ablate(given)

    ablate.__doc__ = _ablate.__doc__
    fixed = list(inspect.signature(_signature, eval_str=True).parameters.values())
    ablate.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*fixed, *(_flag(axis) for axis in axes.values())]
    )
    return ablate


def _signature(
    config: Annotated[
        str, typer.Argument(help="Path or name of a recipe, which declares the axes.")
    ] = DEFAULT_RECIPE,
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="KEY=V1,V2", help="Vary any config key; repeatable."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs per cell.")] = 1,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Default: work_dirs/ablate/<recipe>-<digest of its settings>."),
    ] = None,
) -> None:
    """Only the parameters count: they are the options that every recipe's command has."""


def _ablate(given: dict[str, Any]) -> None:
    """Train every cell at the same budget and data order; print and write one table.

    A finished cell is skipped, so the same command completes what an earlier one began.
    """
    from gigakit.ablation.axes import choose, free_axis, recipe_axes
    from gigakit.ablation.execution import run_plan
    from gigakit.ablation.plan import make_plan, with_sample_section
    from gigakit.ablation.report import write_report
    from gigakit.ablation.stored_plan import note_command
    from gigakit.ablation.tables import header, screen_rows
    from gigakit.cli.tables import print_table
    from gigakit.config import catalogue_of, load_config
    from gigakit.core.errors import GigakitError

    overrides = with_sample_section(given["config"], given["overrides"] or ())
    loaded = load_config(given["config"], overrides)
    known = catalogue_of(loaded)
    # overrides may change cells too
    axes = recipe_axes(loaded.values)
    choices = [choose(axis, given[name], known) for name, axis in axes.items() if given[name]]
    choices += [choose(*free_axis(text), known) for text in given["axis"] or ()]
    plan = make_plan(
        given["config"],
        choices,
        overrides=given["overrides"] or (),
        seeds=given["seeds"],
        out=given["out"],
    )
    command = ["gigakit", *sys.argv[1:]]
    note_command(plan.out, command)
    failed = run_plan(plan, announce=lambda line: typer.echo(line, err=True))
    comparison = write_report(plan, command)
    print_table(header(comparison), screen_rows(comparison))
    typer.echo(f"page: {plan.out / 'index.html'} (beside it table.md, results.csv, results.json)")
    typer.echo(f"curves: tensorboard --logdir {plan.out}")
    if failed:
        raise GigakitError(
            f"{len(failed)} of {len(plan.runs)} runs failed",
            where=plan.out,
            fix="see train.log in their folders; the same command tries them again",
        )


def _recipe_of(arguments: Sequence[str]) -> str:
    """Find the one positional argument: every option of the command takes a value."""
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--help", "-h"):
            continue
        if not argument.startswith("-"):
            return argument
        if "=" not in argument:
            next(rest, None)
    return DEFAULT_RECIPE


def _flag(axis: Axis) -> inspect.Parameter:
    known = ", ".join(axis.cells) + (", or any other" if axis.open_values else "")
    option = typer.Option(
        axis.flag,
        metavar="V1,V2",
        help=f"{axis.key or 'several keys'}: {known}",
        rich_help_panel="Axes",
    )
    return inspect.Parameter(
        axis.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )
