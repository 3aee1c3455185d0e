"""``gigakit export``: weights of a run as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.options import AsJson


def export(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or one of its checkpoints.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: a file in the run's folder.")
    ] = None,
    part: Annotated[
        str | None, typer.Option("--part", help="Such as encoder: these weights, without the name.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            help="An encoder as its publishers' code reads it: published (slide_encoder.pth, or "
            "timm's pytorch_model.bin) or dinov2.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the newest valid weights of a run as safetensors, with its config in the metadata.

    With --layout the file is a torch file of one encoder, for other people's code.
    """
    from gigakit.engine.export import export_weights

    made = export_weights(source, out, part=part, layout=layout)
    if as_json:
        found = {"path": str(made.path), "tensors": made.tensors, "step": made.step}
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(f"{made.path}: {made.tensors} tensors after step {made.step}")
