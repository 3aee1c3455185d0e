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
) -> None:
    """Train a recipe; features of its cohort are prepared first, once."""
    from gigakit.config import load_checked

    # typos must cost no import of torch
    loaded = load_checked(config, overrides or ())

    from gigakit.engine.launch import launch

    launch(
        _with_profiler(loaded) if profile else loaded,
        work_dir=work_dir,
        resume=resume,
        overwrite=overwrite,
        init_from=init_from,
        announce=lambda line: typer.echo(line, err=True),
    )


def _with_profiler(loaded: LoadedConfig) -> LoadedConfig:
    hooks = loaded.values.get("custom_hooks", [])
    if any(hook["type"] == "ProfileHook" for hook in hooks):
        # the recipe says which steps
        return loaded
    values = {**loaded.values, "custom_hooks": [*hooks, {"type": "ProfileHook"}]}
    return dataclasses.replace(loaded, values=values)
