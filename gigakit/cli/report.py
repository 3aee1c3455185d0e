"""``gigakit report``: the page of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(help="Folder of tiles, or of a cohort's stores: then of all tiles.")
    ],
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, help="How many slides get a picture.")
    ] = 5000,
    geojson: Annotated[
        bool, typer.Option("--geojson", help="Also write tissue and tiles for QuPath.")
    ] = False,
) -> None:
    """Write report.html: every slide with its picture, tiles, state and reason; one file.

    It can be sorted and filtered, and opens without a network. With --geojson each slide's tissue
    and tiles go to geojson/<slide_id>.geojson, which QuPath opens.
    """
    from gigakit.core.errors import StoreError
    from gigakit.wsi.geojson import write_geojson
    from gigakit.wsi.report import write_report
    from gigakit.wsi.status import status_files

    inner = sorted(path for path in (folder / "tiles").glob("*") if status_files(path))
    for tiles in inner or [folder]:
        made = write_report(tiles, most_pictures=pictures)
        typer.echo(f"{made.path}: {made.slides} slides, {made.pictures} pictures")
        if not geojson:
            continue
        written = 0
        for file in sorted(tiles.glob("*.h5")):
            try:
                write_geojson(file, tiles / "geojson" / f"{file.stem}.geojson")
                written += 1
            except StoreError as error:
                typer.echo(f"{error}; it is left out", err=True)
        typer.echo(f"{tiles / 'geojson'}: {written} slides")
