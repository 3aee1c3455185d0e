"""What a run is trained on: features or tiles, prepared once, put into the recipe's open places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gigakit.core.errors import ConfigError
from gigakit.engine.label_data import fill_in_labels
from gigakit.registry import TASKS
from gigakit.tasks.prepared import PreparedFeatures, read_prepared
from gigakit.tasks.probes.prepared_encoder import score_tile_encoder
from gigakit.tasks.slide_tiling import PreparedTiles
from gigakit.wsi.cohort import SAMPLE, read_cohort

# what a recipe holds beside the keys of mmengine's Runner
OWN_KEYS = (
    "ablation",
    "ablation_sample",
    "cohort",
    "custom_imports",
    "features",
    "labelled",
    "labels",
    "out",
    "preparation",
    "sample",
    "slide_embedding",
    "splits",
    "target",
    "tiles",
    "weights_files",
)
# of a dataset of slides' tiles, what a dataset of stored tiles takes too
_OF_TILES = ("views", "tissue_filter", "max_unreadable_share", "seed")
# and what only slides can follow
_OF_SLIDES = ("mpp", "tile_size_px", "tiles_per_slide", "jitter")
_VALIDATION = ("val_dataloader", "val_cfg", "val_evaluator")

Prepared = PreparedFeatures | PreparedTiles


def prepare(values: dict[str, Any], announce: Callable[[str], None]) -> Prepared:
    """Return what a recipe trains on: what it names, or what its preparation makes of its cohort.

    Raises:
        ConfigError: the recipe names neither.
    """
    if values.get("features"):
        return read_prepared(Path(values["features"]))
    if values.get("tiles"):
        return PreparedTiles(Path(_stored(values)["root"]), [], [], notes=_idle(values))
    if not values.get("cohort") or not values.get("preparation"):
        stored = "tiles" if "tiles" in values else "features"
        either = "--set cohort=slides.csv or " if values.get("preparation") else ""
        raise ConfigError(
            f"neither {stored} nor a cohort with its preparation is given",
            where=stored,
            fix=f"add {either}--set {stored}=DIR",
        )
    cohort = read_cohort(values["cohort"])
    out = Path(values["out"]) if values.get("out") else None
    prepared: Prepared = TASKS.build(values["preparation"]).run(cohort, out, announce=announce)
    if values["cohort"] == SAMPLE:
        prepared.notes.insert(
            0, "the cohort is the sample: one small slide, trained and evaluated on itself"
        )
    return prepared


def score_prepared(
    values: dict[str, Any], prepared: Prepared, announce: Callable[[str], None]
) -> dict[str, float]:
    """Score what a run's features come from on the recipe's labelled tiles, where it has any.

    Runs on tiles are validated on labelled tiles themselves.

    Raises:
        ConfigError: features are given, and with them nothing that could embed labelled tiles.
    """
    if not values.get("labelled") or isinstance(prepared, PreparedTiles):
        return {}
    if values.get("features"):
        raise ConfigError(
            "labelled tiles score the tile encoder, and of given features it is not known",
            where="labelled",
            fix="leave labelled out, or give cohort instead of features",
        )
    return score_tile_encoder(
        values["preparation"], values["labelled"], prepared.folder.parents[1], announce
    )


def fill_in(values: dict[str, Any], prepared: Prepared) -> None:
    """Put what only the data can tell into the places that a recipe leaves open."""
    if isinstance(prepared, PreparedTiles):
        _fill_in_tiles(values, prepared)
    else:
        _fill_in_features(values, prepared)
    training = values["train_dataloader"]["dataset"]
    training.setdefault("seed", values["randomness"]["seed"])
    for hook in values.get("custom_hooks", []):
        shown_over = ("OverviewPictureHook", "AttentionPictureHook")
        if hook["type"] in shown_over and prepared.overviews is not None:
            hook.setdefault("folder", str(prepared.overviews.absolute()))


def _fill_in_features(values: dict[str, Any], prepared: PreparedFeatures) -> None:
    if values["model"].get("input_dim") is None:
        values["model"]["input_dim"] = prepared.width
    for loader in ("train_dataloader", "val_dataloader"):
        dataset = values.get(loader, {}).get("dataset", {})
        if dataset.get("type") == "SlideFeatures" and dataset.get("root") is None:
            dataset["root"] = str(prepared.folder.absolute())
            if dataset.get("slide_ids") is None:
                dataset["slide_ids"], dataset["lengths"] = prepared.slide_ids, prepared.lengths
    if "target" in values:
        prepared.notes += fill_in_labels(values, prepared.folder)
    training = values["train_dataloader"]["dataset"]
    if training.get("order") and "val_dataloader" in values:
        # an encoder is asked about sequences like those it was trained on
        values["val_dataloader"]["dataset"].setdefault("order", training["order"])


def _fill_in_tiles(values: dict[str, Any], prepared: PreparedTiles) -> None:
    loader = values["train_dataloader"]
    dataset = loader["dataset"]
    if values.get("tiles"):
        kept = {key: dataset[key] for key in _OF_TILES if key in dataset}
        loader["dataset"] = {"type": "TileImages", **kept, **_stored(values)}
    elif dataset.get("tiles") is None:
        dataset["tiles"] = str(prepared.folder.absolute())
        dataset["slide_ids"] = prepared.slide_ids
    encoder = values["model"].get("encoder", {})
    if loader["collate_fn"]["type"] == "collate_views" and "patch_size" in encoder:
        # masks lie on the encoder's own grid
        loader["collate_fn"].setdefault("patch_size", encoder["patch_size"])
    if values.get("labelled"):
        values["val_dataloader"]["dataset"].update(values["labelled"])
    elif values.get("val_dataloader", {}).get("dataset", {}).get("root") is None:
        # no labels, nothing to probe
        for key in _VALIDATION:
            values.pop(key, None)


def _idle(values: dict[str, Any]) -> list[str]:
    """Say what a recipe sets that stored tiles cannot follow."""
    dataset = values["train_dataloader"]["dataset"]
    idle = [name for name in _OF_SLIDES if dataset.get(name)]
    return [f"stored tiles are as they are: {', '.join(idle)} changes nothing"] if idle else []


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return where stored tiles are, given as a path or as the arguments of ``TileImages``.

    Raises:
        ConfigError: it is neither.
    """
    given = values["tiles"]
    stored = {"root": given} if isinstance(given, str) else given
    if not isinstance(stored, dict) or not isinstance(stored.get("root"), str):
        raise ConfigError(
            f"got {given!r}", where="tiles", fix="give a path, or dict(root=, table=, split=)"
        )
    return dict(stored)
