"""``gigakit test``: a trained slide-level model on its test split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.options import Overrides


def predict_split(
    config: Annotated[str, typer.Argument(help="Path or name of a recipe, or a run's config.py.")],
    checkpoint: Annotated[
        Path, typer.Argument(help="Weights, a checkpoint, or the folder of a run.")
    ],
    overrides: Overrides = None,
    split: Annotated[
        str, typer.Option("--split", help="Which slides: train, val or test.")
    ] = "test",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Default: predictions-<split>.csv in the run's folder."),
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Such as cuda:1.")] = None,
) -> None:
    """Predict the slides of a split, write predictions.csv and print the scores.

    Of a run's folder its best weights are taken, or the newest where validation has chosen none.
    """
    from gigakit.config import load_checked
    from gigakit.core.errors import ConfigError

    if split not in ("train", "val", "test"):
        raise ConfigError(f"got '{split}'", where="--split", fix="give train, val or test")
    loaded = load_checked(config, overrides or ())

    import copy

    from gigakit.config.plugins import import_custom
    from gigakit.engine.evaluate import evaluate

    import_custom(loaded.values.get("custom_imports"), loaded.path)
    found = evaluate(
        copy.deepcopy(loaded.values),
        checkpoint,
        split=split,
        out=out,
        device=device,
        announce=lambda line: typer.echo(line, err=True),
    )
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{found.slides} slides of split {split}, by {found.weights}")
    for name, value in found.scores.items():
        typer.echo(f"{name:<20}{value:.4f}")
    typer.echo(str(found.path))
