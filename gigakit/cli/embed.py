"""``gigakit embed``: tile and slide embeddings of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigakit.cli.completion import complete_encoder
from gigakit.cli.executor_options import Shard, TimeLimit, build_executor
from gigakit.cli.options import AsJson, Mpp, Out, Overrides
from gigakit.cli.tile import Recipe, fail_if_slides_failed, report_cohorts

if TYPE_CHECKING:
    from gigakit.wsi.executor import Executor
    from gigakit.wsi.pipeline import CohortResult

_TASKS = ("preparation", "slide_embedding")


def embed(
    slides: Annotated[
        list[str] | None,
        typer.Argument(help="slides.csv, folders of slides, slides, or 'sample'."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="A published encoder, such as gigapath, or its config.",
            autocompletion=complete_encoder,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Folder with the published files of --encoder."),
    ] = None,
    recipe: Recipe = "gigapath_slide",
    overrides: Overrides = None,
    out: Out = None,
    mpp: Mpp = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features", help="Start from these feature files: CLAM, TRIDENT, PANDA, .pt."
        ),
    ] = None,
    coords: Annotated[
        Path | None,
        typer.Option("--coords", help="HDF5 files with the coordinates of --features."),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option("--step", help="Side of a tile in the unit of those coordinates."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Tiles a forward pass.")
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", min=1, help="Tokens a forward pass instead.")
    ] = None,
    subfolders: Annotated[
        bool, typer.Option("--subfolders", help="Feature files in 256 folders by hash.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that tile slides, then read tiles."),
    ] = None,
    shard: Shard = None,
    time_limit: TimeLimit = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="cpu, cuda:1, mps, or cuda:0,cuda:1; default: the best."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="fp32, bf16, fp16 or auto.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tile a cohort, embed its tiles and, with a published encoder, its slides.

    What is done under the same settings is skipped. With --encoder, the published model's own
    settings hold; without it, the recipe's preparation, for instance
    --set preparation.weights=encoder.safetensors.
    """
    from gigakit.config import find_encoder, load_checked, load_config, with_weights

    _check_source(slides, features, coords, step)
    chosen = find_encoder(encoder) if encoder else recipe
    written = load_config(chosen)
    if features and "slide_embedding" not in written.values:
        from gigakit.core.errors import ConfigError

        raise ConfigError(
            "has no slide_embedding, and the tiles of --features are embedded already",
            where=written.path,
            fix="name a slide encoder, such as --encoder gigapath",
        )
    devices = device.split(",") if device else [None]
    options: dict[str, dict[str, str | int | None]] = {
        "preparation": {
            "batch_size": batch_size,
            "batch_tokens": batch_tokens,
            "subfolders": subfolders or None,
            "num_workers": workers,
            # quoted, since a comma would make a list of it
            "device": f"'{device}'" if device else None,
            "precision": precision,
        },
        "slide_embedding": {"device": devices[0], "precision": precision},
    }
    given = [
        f"{task}.{key}={value}"
        for task in _TASKS
        if task in written.values
        for key, value in options[task].items()
        if value is not None
    ]
    loaded = load_checked(chosen, [*given, *(overrides or ())], section=None)
    values = with_weights(loaded, weights, _TASKS[1:] if features else _TASKS)
    if features:
        results = _embed_features(values, features, coords, step, out)
    else:
        both_stages = [
            build_executor("local", shard=shard, workers=count, time_limit=time_limit)
            for count in (workers, len(devices) if len(devices) > 1 else None)
        ]
        results = _embed_slides(values, slides or [], out, mpp, both_stages)
    report_cohorts(results, as_json=as_json)
    fail_if_slides_failed(*results.values())


def _check_source(
    slides: list[str] | None, features: Path | None, coords: Path | None, step: float | None
) -> None:
    from gigakit.core.errors import ConfigError

    if bool(slides) == bool(features):
        found = "both slides and --features" if slides else "neither slides nor --features"
        raise ConfigError(found, where="gigakit embed", fix="name one of them")
    if not features and (coords or step):
        raise ConfigError(
            "--coords and --step are about --features", where="gigakit embed", fix="leave them out"
        )


def _embed_slides(
    values: dict[str, Any],
    slides: list[str],
    out: Path | None,
    mpp: float | None,
    executors: list[Executor],
) -> dict[str, CohortResult]:
    from gigakit.data.feature_folder import FeatureFolder
    from gigakit.registry import TASKS
    from gigakit.wsi.cohort import read_cohorts
    from gigakit.wsi.pipeline import store_root

    cohort = read_cohorts(slides, mpp=mpp)
    preparation = TASKS.build(values["preparation"])
    # built first, since what it lacks must not be found after the tiles are embedded
    aggregation = TASKS.build(values["slide_embedding"]) if "slide_embedding" in values else None
    if aggregation is not None:
        aggregation.check()
    tiling, embedding = executors
    tiled, embedded = preparation.process(
        cohort, out, tiling=tiling, embedding=embedding, announce=_announce
    )
    results = {"tiling": tiled, "embedding": embedded}
    usable = [slide.slide_id for slide in embedded.slides if slide.tiles]
    if aggregation is not None and usable:
        results["slides"] = aggregation.process(
            FeatureFolder(embedded.folder),
            store_root(cohort, out),
            slide_ids=usable,
            announce=_announce,
        )
    return results


def _embed_features(
    values: dict[str, Any], folder: Path, coords: Path | None, step: float | None, out: Path | None
) -> dict[str, CohortResult]:
    from gigakit.data.feature_folder import FeatureFolder
    from gigakit.registry import TASKS

    features = FeatureFolder(folder, coords=coords, step=step)
    # gigakit's own features lie in <stores>/features/<encoder>
    own = (folder / "settings.json").is_file()
    stores = folder.absolute().parents[1] if own else Path("work_dirs/stores") / folder.name
    aggregation = TASKS.build(values["slide_embedding"])
    return {"slides": aggregation.process(features, out or stores, announce=_announce)}


def _announce(line: str) -> None:
    typer.echo(line, err=True)
