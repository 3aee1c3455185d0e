"""What sets the cells of an ablation apart: their configs, and what of it makes them unequal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gigakit.ablation.measures import LOSS, TILE_ENCODER, Metric
from gigakit.ablation.plan import Plan, Run
from gigakit.config import apply_section, load_config
from gigakit.config.comparing import ABSENT, Difference, diff_configs
from gigakit.config.overrides import parse_override
from gigakit.config.reading import read_config
from gigakit.config.writing import value_text
from gigakit.core.errors import ConfigError

# a choice made here changes the embeddings themselves, which are what is predicted
UPSTREAM = ("preparation", "cohort", "features")
# of these, what changes the tile encoder alone and leaves the tiles as they are
_OF_TILE_ENCODER = (
    "preparation.encoder",
    "preparation.weights",
    "preparation.seed",
    "preparation.transform",
    "preparation.precision",
)
# and here, what cells are asked
_EVALUATION = ("val_dataloader", "val_evaluator", "labelled")
OTHER_EMBEDDINGS = "predicts other embeddings"
OTHER_TILES = "other tiles"
_BUDGET = ("train_cfg", "train_dataloader.batch_size", "train_dataloader.batch_sampler")
# the rest of a model decides what its loss is
_NO_LOSS = ("model.encoder", "model.backbone")
# of no influence on a run, or the same in every cell
_ASIDE = ("ablation", "ablation_sample", "sample", "randomness.seed")


class CellConfigs:
    """The resolved configs of an ablation's cells, and their differences to its baseline.

    A cell's config is the one that its run left in its folder; before there is a run, it is the
    recipe as overridden; where neither can be read, its overrides stand in.

    Args:
        plan: the ablation.
        baseline: the cell that the others are compared with.
    """

    def __init__(self, plan: Plan, baseline: str) -> None:
        self._plan = plan
        self._runs: dict[str, Run] = {}
        for run in plan.runs:
            self._runs.setdefault(run.cell, run)
        self._baseline = self._runs[baseline]
        self._base_values = _resolved(plan, self._baseline)
        self._found: dict[str, list[Difference]] = {}

    def differences(self, cell: str) -> list[Difference]:
        """Return the keys at which a cell differs from the baseline."""
        if cell not in self._found:
            self._found[cell] = self._compared(cell)
        return self._found[cell]

    def text(self, cell: str) -> str:
        """Return the differences of a cell as text, a line each."""
        lines = [difference_line(entry) for entry in self.differences(cell)]
        title = f"{cell}, against the baseline {self._baseline.cell}:"
        return "\n".join([title, "", *(lines or ["no difference"])]) + "\n"

    def _compared(self, cell: str) -> list[Difference]:
        run = self._runs[cell]
        values = None if self._base_values is None else _resolved(self._plan, run)
        if values is None or self._base_values is None:
            left, right = (_overrides(one) for one in (self._baseline, run))
            found = diff_configs(left, right)
        else:
            found = diff_configs(self._base_values, values)
        return [entry for entry in found if not _is_under(entry.key, _ASIDE)]


def difference_line(entry: Difference) -> str:
    """Return ``key: baseline -> cell``."""
    left, right = (
        str(value) if value is ABSENT else value_text(value) for value in (entry.left, entry.right)
    )
    return f"{entry.key}: {left} -> {right}"


def incomparable(metric: Metric, differences: Sequence[Difference]) -> str:
    """Return why two cells do not compare by a metric; empty where they do."""
    keys = [entry.key for entry in differences]
    upstream = [key for key in keys if _is_under(key, UPSTREAM)]
    if any(_is_under(key, _EVALUATION) for key in keys):
        return "scored by another evaluator"
    if metric.of_stored and upstream:
        return OTHER_EMBEDDINGS
    if metric.name.startswith(TILE_ENCODER):
        if any(not _is_under(key, _OF_TILE_ENCODER) for key in upstream):
            return OTHER_TILES
        return "" if upstream else "the same tile encoder"
    if metric.name == LOSS:
        return _other_loss(keys)
    return ""


def changes_tile_encoder(differences: Sequence[Difference]) -> bool:
    """Tell whether two cells differ in what embeds their tiles."""
    return any(_is_under(entry.key, _OF_TILE_ENCODER) for entry in differences)


def budget_keys(differences: Sequence[Difference]) -> list[str]:
    """Return the keys at which two cells differ in their budget of steps or samples."""
    return [entry.key for entry in differences if _is_under(entry.key, _BUDGET)]


def _other_loss(keys: Sequence[str]) -> str:
    for key in keys:
        if _is_under(key, ("model",)) and not _is_under(key, _NO_LOSS):
            return "another objective"
        if _is_under(key, ("train_dataloader", *UPSTREAM)):
            return "other training data"
    return ""


def _is_under(key: str, parents: Sequence[str]) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _resolved(plan: Plan, run: Run) -> dict[str, Any] | None:
    """Return the values of a run's config, or ``None`` where it cannot be read here."""
    folder = plan.out / run.folder
    try:
        if (folder / "config.py").is_file() and _holds(folder, run):
            return read_config(folder / "config.py").values
        return apply_section(load_config(plan.recipe, run.overrides), "sample").values
    except ConfigError:
        return None


def _holds(folder: Path, run: Run) -> bool:
    started = folder / "run.json"
    if not started.is_file():
        return False
    digest: str = json.loads(started.read_text(encoding="utf-8"))["digest"]
    return digest == run.digest


def _overrides(run: Run) -> Mapping[str, Any]:
    return {override.key: override.value for override in map(parse_override, run.overrides)}
