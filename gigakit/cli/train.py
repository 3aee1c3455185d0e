"""``gigakit train``: prepare what a recipe needs, then train it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.options import Overrides


def train(
    config: Annotated[str, typer.Argument(help="Path or name of a recipe.")],
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
) -> None:
    """Train a recipe; features of its cohort are prepared first, once."""
    from gigakit.config import load_checked

    # typos must cost no import of torch
    loaded = load_checked(config, overrides or ())

    from gigakit.engine.launch import launch

    launch(
        loaded,
        work_dir=work_dir,
        resume=resume,
        overwrite=overwrite,
        init_from=init_from,
        announce=lambda line: typer.echo(line, err=True),
    )
