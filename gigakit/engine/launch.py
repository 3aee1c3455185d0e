"""From a checked recipe to a finished run: features first, then training."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gigakit.config import LoadedConfig, import_custom, rerunnable_text
from gigakit.core.errors import ConfigError
from gigakit.engine import processes
from gigakit.engine.run_data import OWN_KEYS, Prepared, fill_in, prepare, score_prepared
from gigakit.engine.run_directory import prepare_work_dir
from gigakit.engine.run_record import origin_of
from gigakit.engine.train import TrainResult, train
from gigakit.registry import ATTENTIONS
from gigakit.tasks.prepared import PreparedFeatures

LOGGER = logging.getLogger(__name__)


def launch(
    loaded: LoadedConfig,
    *,
    work_dir: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    init_from: Path | None = None,
    announce: Callable[[str], None] = LOGGER.info,
    work_root: Path = Path("work_dirs"),
) -> TrainResult:
    """Prepare the features that a recipe needs, train it, and say how to look at it.

    Started by ``torchrun`` or ``srun``, the processes join first; rank 0 alone chooses the folder
    and prepares the features.

    Args:
        loaded: the recipe, checked, its ``sample`` section applied.
        work_dir: folder of the run; ``None`` takes the next free ``<work_root>/<recipe>/<n>``.
        resume: go on from the run's newest valid checkpoint.
        overwrite: remove what a used ``work_dir`` holds.
        init_from: weights to start from.
        announce: receives a line now and then while features are prepared.
        work_root: where runs live.

    Raises:
        GigakitError: what the preparation, the work directory or the run found wrong.
    """
    if "model" not in loaded.values:
        raise ConfigError(
            "has no model to train", where=loaded.path, fix="see: gigakit list recipe"
        )
    with processes.joined():
        return _launch(
            loaded,
            announce=announce if processes.is_first() else _say_nothing,
            init_from=init_from,
            resume=resume,
            choose_folder=functools.partial(
                prepare_work_dir,
                work_root,
                loaded.name,
                explicit=work_dir,
                resume=resume,
                overwrite=overwrite,
            ),
            early=work_dir is not None or resume or overwrite,
        )


def _launch(
    loaded: LoadedConfig,
    *,
    announce: Callable[[str], None],
    init_from: Path | None,
    resume: bool,
    choose_folder: Callable[[], Path],
    early: bool,
) -> TrainResult:
    # a folder in use must be told before the work of preparing
    folder = processes.on_first(choose_folder) if early else None
    import_custom(loaded.values.get("custom_imports"), loaded.path)
    values = copy.deepcopy(loaded.values)
    prepared = processes.on_first(lambda: prepare(values, announce))
    folder = folder or processes.on_first(choose_folder)
    downstream = processes.on_first(lambda: score_prepared(values, prepared, announce))
    fill_in(values, prepared)
    notes = [*prepared.notes, *attention_notes(values, prepared)]
    result = train(
        {key: value for key, value in values.items() if key not in OWN_KEYS},
        work_dir=folder,
        resume=resume,
        init_from=init_from,
        config_text=rerunnable_text(loaded),
        banner=[f"{'recipe':<12}{loaded.name}", *(f"{'note':<12}{note}" for note in notes)],
        extra_meta={
            "recipe": loaded.name,
            "overrides": list(loaded.overrides),
            "notes": notes,
            "downstream": downstream,
        },
        origin=processes.on_first(lambda: origin_of(loaded, prepared, init_from)),
    )
    announce(f"done: {folder}; look at it with: tensorboard --logdir {folder}")
    return result


def _say_nothing(_line: str) -> None:
    """Take the place of ``announce`` on all ranks but the first."""


def attention_notes(values: dict[str, Any], prepared: Prepared) -> list[str]:
    """Say what the slide encoder's attention does on the longest sequence it will see."""
    if not isinstance(prepared, PreparedFeatures):
        return []
    model = values["model"]
    encoder = model.get("encoder") or model.get("aggregator", {}).get("encoder") or {}
    attention = encoder.get("attention")
    if attention is None or not prepared.lengths:
        return []
    hidden = model.get("mask_ratio", 0.0)
    tokens = 1 + max(1, int(max(prepared.lengths) * (1 - hidden)))
    return [f"the encoder sees at most {tokens} tokens: {_describe(attention, tokens)}"]


def _describe(attention: dict[str, Any], tokens: int) -> str:
    variant = ATTENTIONS.build(attention)
    text: str = variant.describe(tokens) if hasattr(variant, "describe") else attention["type"]
    return text
