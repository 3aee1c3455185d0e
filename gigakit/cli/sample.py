"""``gigakit sample``: obtain the sample slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.options import AsJson


def sample(
    source: Annotated[
        Path | None, typer.Option("--from", help="Take this copy instead of fetching one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the sample slide (CMU-1-Small-Region, 2 MB) once, verify it, and print its path."""
    from gigakit.wsi.sample import SHA256, obtain_sample

    path = str(obtain_sample(source))
    typer.echo(json.dumps({"path": path, "sha256": SHA256}, indent=2) if as_json else path)
