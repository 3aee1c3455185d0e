"""What an ablation's table measures: columns of quality, and which is better."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gigakit.core.errors import ConfigError

LOSS = "last_loss"
TILE_ENCODER = "tile_encoder/"
_RECONSTRUCTION = "reconstruction/"
_PROBE = "probe/"
_LOWER_IS_BETTER = frozenset(
    ("loss", "error", "errors", "distance", "entropy", "brier", "mae", "mse", "rmse", "perplexity")
)


@dataclass(frozen=True)
class Metric:
    """A column of quality.

    Args:
        name: as runs report it, such as ``reconstruction/r2``.
        title: of the column.
        digits: after the point.
        higher_is_better: whether more is better.
        of_stored: it is about embeddings that the preparation makes, and compares only where these
            are the same.
    """

    name: str
    title: str
    digits: int = 4
    higher_is_better: bool = True
    of_stored: bool = False

    @property
    def once(self) -> bool:
        """Whether it is of the stored tile encoder, and so the same whatever the seed."""
        return self.name.startswith(TILE_ENCODER)


# in the order of columns
_KNOWN = (
    Metric("reconstruction/r2", "R²", of_stored=True),
    Metric("reconstruction/cosine", "cosine", of_stored=True),
    Metric("probe/knn_balanced_accuracy", "k-NN"),
    Metric("probe/linear_balanced_accuracy", "linear"),
    Metric("probe/linear_macro_auroc", "AUROC"),
    Metric("probe/rankme", "RankMe", digits=2),
    Metric("tile_encoder/knn_balanced_accuracy", "encoder k-NN"),
    Metric("tile_encoder/linear_balanced_accuracy", "encoder linear"),
    Metric("tile_encoder/linear_macro_auroc", "encoder AUROC"),
)
# reported beside them, no quality of a cell
_ASIDE = ("hidden_tiles", "knn_accuracy", "_mean", "_nearest", "tile_encoder/rankme")
_PRIMARY = (
    "reconstruction/r2",
    "probe/linear_balanced_accuracy",
    "probe/knn_balanced_accuracy",
)
_PRIMARY_OF_ENCODERS = (
    "tile_encoder/linear_balanced_accuracy",
    "tile_encoder/knn_balanced_accuracy",
)
REFERENCES = {"mean": "reference: mean embedding", "nearest": "reference: nearest visible tile"}
_NOTES = {
    _RECONSTRUCTION: "R² and cosine: raw embeddings of hidden tiles, fixed seeded masks, no "
    "augmentation, the same questions in every cell; the references predict without training.",
    _PROBE: "k-NN and linear: balanced accuracies of frozen embeddings on the labelled tiles of "
    "split val, learnt from train; AUROC is the linear probe's. RankMe compares cells of one "
    "objective.",
    TILE_ENCODER: "Encoder: the frozen tile encoder that the features come from, scored on the "
    "labelled tiles of split val, learnt from train: one number an encoder, whatever the seed, so "
    "it has neither ± nor an interval (gigakit probe gives intervals over cases).",
}
_NOTHING = (
    "Nothing but the loss was measured, and losses of different objectives do not compare: "
    "labelled tiles give a probe."
)


def shown_metrics(reported: Collection[str]) -> list[Metric]:
    """Return the columns of quality, of all names that runs report."""
    known = [metric for metric in _KNOWN if metric.name in reported]
    prefixes = (_RECONSTRUCTION, _PROBE, TILE_ENCODER)
    other = [
        metric_named(name)
        for name in sorted(reported)
        if not name.startswith(prefixes) and not name.endswith(_ASIDE)
    ]
    return known + other


def metric_named(name: str) -> Metric:
    """Return what is known of a metric; of an unknown one, whether less is better, by its name."""
    known = next((metric for metric in _KNOWN if metric.name == name), None)
    if known is not None:
        return known
    if name == LOSS:
        return Metric(LOSS, "last loss", higher_is_better=False)
    lower = not _LOWER_IS_BETTER.isdisjoint(re.split(r"[^a-z]+", name.lower()))
    return Metric(name, name, higher_is_better=not lower)


def choose_metric(
    reported: Collection[str], wanted: str | None = None, *, encoders_differ: bool = False
) -> Metric:
    """Return the metric whose differences to the baseline are shown.

    Args:
        reported: names that runs report.
        wanted: the user's choice: a full name, the end of one, or a column's title.
        encoders_differ: cells differ in what embeds the tiles: then what scores tile encoders comes
            first.

    Raises:
        ConfigError: no run reports what the user wants.
    """
    if wanted is not None:
        return _wanted(reported, wanted)
    first = _PRIMARY_OF_ENCODERS if encoders_differ else ()
    for name in (*first, *_PRIMARY):
        if name in reported:
            return metric_named(name)
    shown = shown_metrics(reported)
    return shown[0] if shown else metric_named(LOSS)


def notes_of(metrics: Sequence[Metric]) -> list[str]:
    """Return what the numbers are, for the footer."""
    if not metrics:
        return [_NOTHING]
    found = [
        note
        for prefix, note in _NOTES.items()
        if any(metric.name.startswith(prefix) for metric in metrics)
    ]
    other = [metric.title for metric in metrics if not metric.name.startswith(tuple(_NOTES))]
    return found + ([f"{', '.join(other)}: as the runs report it."] if other else [])


def reference_values(metrics: Mapping[str, float], shown: Sequence[Metric]) -> dict[str, list[str]]:
    """Return lines below the cells, title and one text a column, of what needs no training.

    Args:
        metrics: of one run; the questions are the same in every cell.
        shown: the columns.
    """
    lines = {}
    for name, title in REFERENCES.items():
        found = [metrics.get(f"{metric.name}_{name}") for metric in shown]
        if any(value is not None for value in found):
            lines[title] = ["" if value is None else f"{value:.4f}" for value in found]
    return lines


def _wanted(reported: Collection[str], wanted: str) -> Metric:
    names = [*sorted(reported), LOSS]
    ends = [n for n in names if wanted in (n.rpartition("/")[2], metric_named(n).title)]
    for found in ([name for name in names if name == wanted], ends):
        if len(found) == 1:
            return metric_named(found[0])
    raise ConfigError(
        f"no run reports '{wanted}', or several metrics end so",
        where="--metric",
        fix="choose from " + ", ".join(names),
    )
