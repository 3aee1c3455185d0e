"""``gigakit sample``: obtain the sample slide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    source: Annotated[
        Path | None, typer.Option("--from", help="Take this copy instead of fetching one.")
    ] = None,
) -> None:
    """Fetch the sample slide (CMU-1-Small-Region, 2 MB) once, verify it, and print its path."""
    from gigakit.wsi.sample import obtain_sample

    typer.echo(str(obtain_sample(source)))
