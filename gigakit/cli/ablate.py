"""``gigakit ablate``: train every cell of an ablation and print one table."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigakit.cli import ablate_flags
from gigakit.cli.options import Overrides

if TYPE_CHECKING:
    from gigakit.ablation.axes import Axis, Choice
    from gigakit.ablation.plan import Plan
    from gigakit.core.catalogue import Catalogue

DEFAULT_RECIPE = "gigapath_slide"
_CELLS, _RUNS = "Which cells", "How they run"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that every recipe's command has; the flags of the axes come beside them."""

    config: Annotated[
        str, typer.Argument(help="Path or name of a recipe, which declares the axes.")
    ] = DEFAULT_RECIPE
    overrides: Overrides = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Default: under work_dirs/ablate, named by a digest of the settings."
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the plan and what it costs, from a few steps of each cell."
        ),
    ] = False
    probe_steps: Annotated[
        int,
        typer.Option("--probe-steps", min=0, help="Steps that --dry-run times; 0: none."),
    ] = 3
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            metavar="KEY=V1,V2",
            help="Vary any config key; repeatable.",
            rich_help_panel=_CELLS,
        ),
    ] = None
    mode: Annotated[
        ablate_flags.ModeName,
        typer.Option(
            "--mode",
            help="All combinations; or the recipe, and each axis varied alone; or those of --list.",
            rich_help_panel=_CELLS,
        ),
    ] = ablate_flags.ModeName.GRID
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Cells, one a line: attention=flash mask_ratio=0.5; or .csv, .json.",
            rich_help_panel=_CELLS,
        ),
    ] = None
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Runs per cell.", rich_help_panel=_CELLS)
    ] = 1
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="CELL",
            help="What cells are compared with: a cell or labels; default the recipe's own.",
            rich_help_panel=_CELLS,
        ),
    ] = None
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, help="Runs at a time; default 1, or one a GPU.", rich_help_panel=_RUNS
        ),
    ] = None
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus", metavar="0,1", help="GPUs to deal runs to, one each.", rich_help_panel=_RUNS
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an ablation, and refuse to begin one; without it either is done.",
            rich_help_panel=_RUNS,
        ),
    ] = False
    slurm: Annotated[
        bool,
        typer.Option("--slurm", help="Run as an array of SLURM jobs.", rich_help_panel=_RUNS),
    ] = False
    slurm_options: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm-option",
            metavar="KEY=VALUE",
            help="Such as partition=gpu or timeout_min=600; repeatable.",
            rich_help_panel=_RUNS,
        ),
    ] = None


def ablate_command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command, with a real flag for each axis of the recipe that the arguments name.

    Args:
        arguments: the command line after ``ablate``; the recipe is found in it by a first look,
            since its axes decide which flags exist.

    Raises:
        ConfigError: the recipe cannot be read, or an axis has the name of an option.
    """
    from gigakit.ablation.axes import recipe_axes
    from gigakit.ablation.kind_axes import all_axes
    from gigakit.ablation.plan import with_sample_section
    from gigakit.config import catalogue_of, load_config

    fixed = inspect.signature(Options, eval_str=True)
    recipe, overrides = ablate_flags.scan(arguments, fixed, DEFAULT_RECIPE)
    loaded = load_config(recipe, with_sample_section(recipe, overrides))
    catalogue = catalogue_of(loaded)
    axes, declared = all_axes(loaded.values, catalogue), recipe_axes(loaded.values)

    def ablate(**given: Any) -> None:
        options = Options(**{field.name: given[field.name] for field in fields(Options)})
        told = {name: given[ablate_flags.argument(name)] for name in axes}
        texts = {name: ",".join(values) for name, values in told.items() if values}
        _ablate(options, axes, texts, catalogue)

    ablate.__doc__ = _ablate.__doc__
    ablate.__signature__ = ablate_flags.with_axes(  # type: ignore[attr-defined]
        fixed, axes, declared, catalogue
    )
    return ablate


def _ablate(
    options: Options, axes: Mapping[str, Axis], given: Mapping[str, str], catalogue: Catalogue
) -> None:
    """Train every cell at the same budget and data order; print and write one table.

    Called again, it skips finished runs and goes on with interrupted ones.
    """
    from gigakit.ablation.plan import make_plan
    from gigakit.core.errors import WorkDirError

    _check_cluster(options)
    mode = ablate_flags.chosen_mode(options.mode, options.listed, [*given, *(options.axis or ())])
    choices = _choices(options, axes, given, catalogue)
    plan = make_plan(
        options.config,
        choices,
        overrides=options.overrides or (),
        seeds=options.seeds,
        out=options.out,
        mode=mode,
        baseline=options.baseline,
    )
    if options.dry_run:
        from gigakit.cli.ablate_plan import show_plan

        show_plan(plan, choices, _slots(options), options)
        return
    if options.resume and not (plan.out / "plan.json").is_file():
        raise WorkDirError("holds no ablation to resume", where=plan.out, fix="leave out --resume")
    _run(plan, options)


def _choices(
    options: Options, axes: Mapping[str, Axis], given: Mapping[str, str], catalogue: Catalogue
) -> list[list[Choice]]:
    from gigakit.ablation.axes import choose, free_axis
    from gigakit.ablation.listing import read_cells

    if options.listed is not None:
        return read_cells(options.listed, axes, catalogue)
    choices = [choose(axes[name], text, catalogue) for name, text in given.items()]
    taken = set(axes)
    for text in options.axis or ():
        axis, values = free_axis(text, taken)
        taken.add(axis.name)
        choices.append(choose(axis, values, catalogue))
    return choices


def _check_cluster(options: Options) -> None:
    """Refuse options that exclude each other.

    Raises:
        ConfigError: they do.
    """
    from gigakit.core.errors import ConfigError

    if options.slurm_options and not options.slurm:
        raise ConfigError(
            "means nothing without --slurm", where="--slurm-option", fix="add --slurm"
        )
    if options.slurm and options.gpus:
        raise ConfigError(
            "SLURM deals out GPUs itself",
            where="--gpus",
            fix="give --slurm-option gpus_per_node=1 instead",
        )


def _slots(options: Options) -> list[dict[str, str]]:
    from gigakit.ablation.axes import split_values
    from gigakit.ablation.slots import check_gpus, make_slots

    gpus = split_values(options.gpus or "")
    check_gpus(gpus)
    return make_slots(options.jobs, gpus)


def _run(plan: Plan, options: Options) -> None:
    from gigakit.ablation.execution import run_plan
    from gigakit.ablation.report import write_report
    from gigakit.ablation.sharing import find_sharing
    from gigakit.ablation.slots import describe_slots
    from gigakit.ablation.stored_plan import note_command
    from gigakit.ablation.tables import header, screen_rows
    from gigakit.cli.tables import print_table
    from gigakit.core.errors import GigakitError

    def announce(line: str) -> None:
        typer.echo(line, err=True)

    command = ["gigakit", *sys.argv[1:]]
    note_command(plan.out, command)
    for warning in find_sharing(plan).warnings():
        announce(f"warning: {warning}")
    if options.slurm:
        from gigakit.ablation.slurm import run_on_slurm

        announce(f"{plan.size}, as SLURM jobs; baseline {plan.baseline}")
        failed = run_on_slurm(
            plan, jobs=options.jobs, options=options.slurm_options or (), announce=announce
        )
    else:
        slots = _slots(options)
        announce(f"{plan.size}, {describe_slots(slots)}; baseline {plan.baseline}")
        failed = run_plan(plan, announce=announce, slots=slots)
    comparison = write_report(plan, command)
    if options.as_json:
        typer.echo(json.dumps(json.loads((plan.out / "results.json").read_text("utf-8"))))
    else:
        print_table(header(comparison), screen_rows(comparison))
        page = plan.out / "index.html"
        typer.echo(f"page: {page} (beside it table.md, results.csv, results.json)")
        typer.echo(f"curves: tensorboard --logdir {plan.out}")
    if failed:
        raise GigakitError(
            f"{len(failed)} of {len(plan.runs)} runs failed",
            where=plan.out,
            fix="see train.log in their folders; the same command tries them again",
        )
