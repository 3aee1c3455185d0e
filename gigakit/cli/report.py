"""``gigakit report``: the page of a cohort, or of an ablation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_ABLATION = "An ablation's folder"
_COHORT = "A cohort's folder"


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of an ablation; or of tiles, or of a cohort's stores: then of all tiles."
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Whose differences to the baseline are told, such as r2.",
            rich_help_panel=_ABLATION,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="CELL",
            help="The cell that the others are compared with.",
            rich_help_panel=_ABLATION,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print results.json instead of a table.", rich_help_panel=_ABLATION
        ),
    ] = False,
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures",
            min=0,
            help="How many slides get a picture; default 5000.",
            rich_help_panel=_COHORT,
        ),
    ] = None,
    geojson: Annotated[
        bool,
        typer.Option(
            "--geojson",
            help="Also write tissue and tiles for QuPath.",
            rich_help_panel=_COHORT,
        ),
    ] = False,
) -> None:
    """Write the page of an ablation, or of a cohort: one file, which opens without a network.

    Of an ablation: index.html with its table, pictures and commands, and what lies beside it; from
    the folder alone, also while runs go on. Of a cohort: report.html, every slide with its picture,
    tiles, state and reason; with --geojson, geojson/<slide_id>.geojson for QuPath.
    """
    from gigakit.ablation.stored_plan import is_ablation

    if is_ablation(folder):
        _refuse(folder, "ablation", {"--pictures": pictures, "--geojson": geojson})
        _report_ablation(folder, metric, baseline, as_json=as_json)
        return
    _refuse(folder, "cohort", {"--metric": metric, "--baseline": baseline, "--json": as_json})
    _report_cohort(folder, 5000 if pictures is None else pictures, geojson=geojson)


def _refuse(folder: Path, kind: str, options: dict[str, object]) -> None:
    from gigakit.core.errors import ConfigError

    for name, value in options.items():
        if value not in (None, False):
            other = "cohort" if kind == "ablation" else "ablation"
            article = "an" if other == "ablation" else "a"
            raise ConfigError(
                f"is for the folder of {article} {other}",
                where=f"{name} {folder}",
                fix="leave it out",
            )


def _report_ablation(
    folder: Path, metric: str | None, baseline: str | None, *, as_json: bool
) -> None:
    from gigakit.ablation.report import results, write_report
    from gigakit.ablation.stored_plan import read_plan, stored_command
    from gigakit.ablation.tables import header, screen_rows
    from gigakit.cli.tables import print_table

    command = stored_command(folder)
    comparison = write_report(read_plan(folder), command, metric=metric, baseline=baseline)
    if as_json:
        typer.echo(json.dumps(results(comparison, command), indent=2))
        return
    print_table(header(comparison), screen_rows(comparison))
    done, runs = len(comparison.done), len(comparison.runs)
    typer.echo(f"{folder / 'index.html'}: {done} of {runs} runs done")


def _report_cohort(folder: Path, pictures: int, *, geojson: bool) -> None:
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
