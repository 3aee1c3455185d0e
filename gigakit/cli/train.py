"""``gigakit train``: prepare what a recipe needs, then train it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.completion import complete_recipe
from gigakit.cli.options import Overrides

if TYPE_CHECKING:
    from gigakit.config import LoadedConfig


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="Path or name of a recipe, or a run's folder.", autocompletion=complete_recipe
        ),
    ],
    overrides: Overrides = None,
    work_dir: Annotated[
        Path | None,
        typer.Option("--work-dir", help="Default: work_dirs/<recipe>/<next free number>."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest valid checkpoint.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove what a used --work-dir holds.")
    ] = False,
    init_from: Annotated[
        Path | None,
        typer.Option("--init-from", help="Start from the weights of this file, not its run."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Record a trace of a few steps: trace.json.gz.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Measure three steps, tell what the run will cost; keep nothing."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of --dry-run: print JSON.")] = False,
) -> None:
    """Train a recipe; features of its cohort are prepared first, once.

    With --dry-run nothing is prepared, trained or written: parameters, FLOPs, seconds and memory of
    a step, steps and time of the whole run are measured and told.
    """
    from gigakit.config import load_checked

    _check_dry_run(dry_run=dry_run, as_json=as_json, resume=resume or overwrite)
    # typos must cost no import of torch
    loaded = load_checked(config, overrides or ())
    if dry_run:
        from gigakit.cli.train_cost import print_cost

        print_cost(loaded, as_json=as_json)
        return

    from gigakit.engine.launch import launch

    launch(
        _with_profiler(loaded) if profile else loaded,
        work_dir=work_dir,
        resume=resume,
        overwrite=overwrite,
        init_from=init_from,
        announce=lambda line: typer.echo(line, err=True),
    )


def _check_dry_run(*, dry_run: bool, as_json: bool, resume: bool) -> None:
    from gigakit.core.errors import ConfigError

    if as_json and not dry_run:
        raise ConfigError(
            "is about --dry-run", where="--json", fix="add --dry-run, or leave it out"
        )
    if dry_run and resume:
        raise ConfigError(
            "tells of a whole run and touches none",
            where="--dry-run",
            fix="leave out --resume and --overwrite",
        )


def _with_profiler(loaded: LoadedConfig) -> LoadedConfig:
    hooks = loaded.values.get("custom_hooks", [])
    if any(hook["type"] == "ProfileHook" for hook in hooks):
        # the recipe says which steps
        return loaded
    values = {**loaded.values, "custom_hooks": [*hooks, {"type": "ProfileHook"}]}
    return dataclasses.replace(loaded, values=values)
