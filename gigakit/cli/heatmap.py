"""``gigakit heatmap``: which tiles a trained slide-level model rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.completion import complete_recipe
from gigakit.cli.options import Overrides


def heatmap(
    config: Annotated[
        str,
        typer.Argument(
            help="Path or name of a recipe, or a run's config.py.", autocompletion=complete_recipe
        ),
    ],
    checkpoint: Annotated[
        Path, typer.Argument(help="Weights, a checkpoint, or the folder of a run.")
    ],
    overrides: Overrides = None,
    split: Annotated[
        str, typer.Option("--split", help="Which slides: train, val or test.")
    ] = "test",
    slide: Annotated[
        list[str] | None, typer.Option("--slide", help="These slides alone; repeatable.")
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=0, help="Draw so many slides; 0 draws all.")
    ] = 20,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", help="Class or label whose contributions to draw; default: the predicted."
        ),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option("--tiles", help="Folder of tile files; default: beside the features."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: heatmaps-<split> in the run's folder.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Such as cuda:1.")] = None,
) -> None:
    """Draw attention and contributions of tiles over each slide; write tiles for QuPath.

    A contribution is what a tile adds to an output: attention times the tile's own logit; of
    classes less their mean. With the bias they sum to the output. Where a model is no such sum, a
    note says so.
    """
    import copy

    from gigakit.config import load_checked
    from gigakit.config.plugins import import_custom
    from gigakit.core.errors import ConfigError

    if split not in ("train", "val", "test"):
        raise ConfigError(f"got '{split}'", where="--split", fix="give train, val or test")
    loaded = load_checked(config, overrides or ())

    from gigakit.engine.evaluate import open_trained
    from gigakit.engine.heatmaps import draw_heatmaps

    import_custom(loaded.values.get("custom_imports"), loaded.path)
    trained = open_trained(
        copy.deepcopy(loaded.values),
        checkpoint,
        split=split,
        device=device,
        announce=lambda line: typer.echo(line, err=True),
    )
    folder = out or trained.run / f"heatmaps-{split}"
    told: set[str] = set()
    drawn = 0
    for made in draw_heatmaps(
        trained, folder, slides=slide or (), most=most, output=output, tiles=tiles
    ):
        drawn += 1
        typer.echo(f"{made.picture}: {made.caption}")
        notes = list(made.missing)
        if made.geojson is None:
            notes.append("without tile files (--tiles) the grid is drawn, and no GeoJSON written")
        for note in notes:
            if note not in told:
                typer.echo(f"note: {note}", err=True)
                told.add(note)
    left = len(trained.dataset) - drawn
    if not slide and left:
        typer.echo(f"note: {left} slides of split {split} are not drawn (--most)", err=True)
