"""What an ablation's table measures: its columns of quality follow from what the runs report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measures:
    """The columns of quality that one metric makes.

    Args:
        prefix: of the metric's names in a run's result.
        columns: title by name without the prefix; those that no run reports are left out.
        baselines: title of a line below the cells, by what its names end in.
        note: what the numbers are, for the footer.
        of_stored: they are about embeddings that the preparation makes, and compare only where
            these are the same.
    """

    prefix: str
    columns: Mapping[str, str]
    note: str
    baselines: Mapping[str, str] = field(default_factory=dict)
    of_stored: bool = False


RECONSTRUCTION = Measures(
    prefix="reconstruction/",
    columns={"r2": "R²", "cosine": "cosine"},
    baselines={"mean": "baseline: mean embedding", "nearest": "baseline: nearest visible tile"},
    note="R² and cosine: raw embeddings of hidden tiles, fixed seeded masks, no augmentation, the "
    "same questions in every cell.",
    of_stored=True,
)
PROBE = Measures(
    prefix="probe/",
    columns={
        "knn_balanced_accuracy": "k-NN",
        "linear_balanced_accuracy": "linear",
        "linear_macro_auroc": "AUROC",
        "rankme": "RankMe",
    },
    note="k-NN and linear: balanced accuracies of frozen embeddings on the labelled tiles of split "
    "val, learnt from train; AUROC is the linear probe's. RankMe compares cells of one objective.",
)
NOTHING = Measures(
    prefix="",
    columns={},
    note="Nothing but the loss was measured, and losses of different objectives do not compare: "
    "labelled tiles give a probe.",
)


def measures_of(rows: Sequence[Mapping[str, Any]]) -> Measures:
    """Return what finished runs report, each row with its ``metrics`` by full name."""
    for measures in (RECONSTRUCTION, PROBE):
        found = {
            name.removeprefix(measures.prefix)
            for row in rows
            for name in row.get("metrics", {})
            if name.startswith(measures.prefix)
        }
        if found:
            shown = {name: title for name, title in measures.columns.items() if name in found}
            return Measures(
                measures.prefix, shown, measures.note, measures.baselines, measures.of_stored
            )
    return NOTHING
