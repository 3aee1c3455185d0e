"""Frozen probes over all folds of a protocol, and with few shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigakit.data.slide_labels import SlideLabels
from gigakit.tasks.evaluation.bootstrap import DRAWS
from gigakit.tasks.evaluation.card import Card, make_card
from gigakit.tasks.evaluation.evaluation import Areas, Evaluation, FoldResult, Unit
from gigakit.tasks.evaluation.few_shot import few_shot
from gigakit.tasks.evaluation.frozen import choose_probe, probe_fold
from gigakit.tasks.evaluation.predictions import FILE, joined, write_predictions
from gigakit.tasks.evaluation.slide_vectors import SlideVectors
from gigakit.tasks.evaluation.splits import Split, rounds_of


@dataclass(frozen=True)
class Probing:
    """A frozen probe to be evaluated.

    Args:
        probe: its name.
        vectors: of all slides.
        data: the slides.
        settings: to choose from; ``None`` takes the probe's own.
        inner_folds: of the cross-validation that chooses; 0 chooses by each fold's val.
        unit: what is scored.
        areas: of folds, or of rounds; see :class:`Evaluation`.
        draws: of patients, for the intervals.
        seed: of the draws, and of what the probe draws.
        facts: for the card.
        notes: for the card.
    """

    probe: str
    vectors: SlideVectors
    data: SlideLabels
    settings: Sequence[float] | None = None
    inner_folds: int = 0
    unit: Unit = "patient"
    areas: Areas = "folds"
    draws: int = DRAWS
    seed: int = 0
    facts: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()

    def over(self, splits: Sequence[Split], out: Path | None = None) -> Card:
        """Fit and test in each fold, and return the card.

        Args:
            splits: the folds.
            out: folder whose ``folds/<name>`` get the predictions of val and test.
        """
        name, probe = choose_probe(self.probe, self.data.task)
        results: list[FoldResult] = []
        for split, number in zip(splits, rounds_of(self.data, splits), strict=True):
            result, val = probe_fold(
                probe,
                self.vectors.versions,
                self.data,
                split,
                round_number=number,
                settings=self.settings,
                inner_folds=self.inner_folds,
                unit=self.unit,
                seed=self.seed,
            )
            if out is not None:
                both = joined([val, result.predictions])
                write_predictions(out / "folds" / split.name / FILE, both)
            results.append(result)
        where = "on val"
        if self.inner_folds:
            where = f"over {self.inner_folds} inner folds by patient of its train and val"
        facts = {
            "model": f"{name}: {probe.meaning}",
            "vectors": self.vectors.source,
            "chosen": f"{probe.setting} and vectors, in each fold by least loss {where}",
            **(self.facts or {}),
        }
        return make_card(
            Evaluation(f"{name} on {self.vectors.source}", tuple(results), self.unit, self.areas),
            draws=self.draws,
            seed=self.seed,
            notes=self.notes,
            facts=facts,
        )

    def with_shots(
        self, splits: Sequence[Split], shots: Sequence[int], *, draws: int
    ) -> dict[int, Card]:
        """Return a card for each number of training patients a class.

        Args:
            splits: the full folds.
            shots: patients a class.
            draws: of these patients, in each fold.
        """
        return {
            number: self.over(few_shot(self.data, splits, number, draws=draws, seed=self.seed))
            for number in shots
        }
