"""``gigakit embed``: tile embeddings of a cohort."""

from __future__ import annotations

from typing import Annotated

import typer

from gigakit.cli.options import Mpp, Out, Overrides
from gigakit.cli.tile import Recipe, fail_if_slides_failed, report_cohort


def embed(
    cohort: Annotated[
        str, typer.Argument(help="slides.csv, a folder of slides, one slide, or 'sample'.")
    ],
    recipe: Recipe = "gigapath_slide",
    overrides: Overrides = None,
    out: Out = None,
    mpp: Mpp = None,
) -> None:
    """Tile a cohort and embed its tiles; what is done under the same settings is skipped.

    The encoder and its weights are the recipe's preparation, for instance
    --set preparation.weights=encoder.safetensors.
    """
    from gigakit.config import load_checked

    preparation = load_checked(recipe, overrides or (), section=None).values["preparation"]

    from gigakit.registry import TASKS
    from gigakit.wsi.cohort import read_cohort

    tiled, embedded = TASKS.build(preparation).process(
        read_cohort(cohort, mpp=mpp), out, announce=lambda line: typer.echo(line, err=True)
    )
    report_cohort("tiling", tiled)
    report_cohort("embedding", embedded)
    fail_if_slides_failed(tiled, embedded)
