"""``gigakit tile``: tissue and tiles of a cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigakit.cli.completion import complete_recipe
from gigakit.cli.executor_options import (
    ExecutorName,
    Scheduler,
    Shard,
    TimeLimit,
    build_executor,
)
from gigakit.cli.options import AsJson, Mpp, Out, Overrides

if TYPE_CHECKING:
    from gigakit.wsi.pipeline import CohortResult

Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="Recipe whose preparation section holds the settings.",
        autocompletion=complete_recipe,
    ),
]


def tile(
    cohort: Annotated[
        str, typer.Argument(help="slides.csv, a folder of slides, one slide, or 'sample'.")
    ],
    recipe: Recipe = "gigapath_slide",
    overrides: Overrides = None,
    out: Out = None,
    mpp: Mpp = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes; 0 works in this one.")
    ] = None,
    executor: ExecutorName = "local",
    shard: Shard = None,
    time_limit: TimeLimit = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Find the tissue of each slide, lay out tiles, store coordinates and an overview picture.

    Settings are the recipe's, for instance --set preparation.tiler.overlap=0.5; training with the
    same settings finds the tiles done. Run again, the command does what is left.
    """
    from gigakit.config import load_checked

    preparation = load_checked(recipe, overrides or (), section=None).values["preparation"]

    from gigakit.wsi.cohort import read_cohort
    from gigakit.wsi.pipeline import store_root
    from gigakit.wsi.tiling import TilingSettings, tile_cohort

    rows = read_cohort(cohort, mpp=mpp)
    chosen = build_executor(
        executor, shard=shard, workers=workers, time_limit=time_limit, scheduler=scheduler
    )
    settings = TilingSettings(
        reader=preparation.get("reader"),
        segmenter=preparation["segmenter"],
        tiler=preparation["tiler"],
        quality=preparation.get("quality") or [],
        quality_limits=preparation.get("quality_limits") or {},
    )
    result = tile_cohort(
        rows,
        settings,
        store_root(rows, out),
        executor=chosen,
        announce=lambda line: typer.echo(line, err=True),
    )
    report_cohorts({"tiling": result}, as_json=as_json)
    typer.echo(f"look: gigakit report {result.folder}", err=True)
    fail_if_slides_failed(result)


def report_cohorts(results: Mapping[str, CohortResult], *, as_json: bool) -> None:
    """Print how many slides are in which state after each stage, and where the files are.

    Args:
        results: of each stage, by its name.
        as_json: as one JSON object, with the reasons of slides that failed or are empty.
    """
    if as_json:
        typer.echo(
            json.dumps({stage: _summary(found) for stage, found in results.items()}, indent=2)
        )
        return
    for stage, result in results.items():
        counts = ", ".join(f"{count} {state}" for state, count in result.counts.items() if count)
        speed = f"; {result.speed}" if stage == "embedding" and result.speed else ""
        where = f"{result.tiles} tiles in {result.folder}{speed}"
        typer.echo(f"{stage}: {counts or 'no slides'}; {where}")


def _summary(result: CohortResult) -> dict[str, Any]:
    left_out = [slide for slide in result.slides if slide.state in ("failed", "empty")]
    return {
        "folder": str(result.folder),
        "status": str(result.status),
        "slides": result.counts,
        "tiles": result.tiles,
        "seconds": sum(slide.seconds for slide in result.slides),
        "left_out": [
            {"slide_id": slide.slide_id, "state": slide.state, "reason": slide.reason}
            for slide in left_out
        ],
    }


def fail_if_slides_failed(*results: CohortResult) -> None:
    """Raise for exit code 3 if a slide failed in any stage; its line was printed as it happened."""
    from gigakit.core.errors import SomeSlidesFailedError

    for result in results:
        failed = [slide for slide in result.slides if slide.state == "failed"]
        if failed:
            raise SomeSlidesFailedError(
                f"{len(failed)} of {len(result.slides)} slides failed",
                where=result.status,
                fix="the others are finished; mend these and run the same command again",
            )
