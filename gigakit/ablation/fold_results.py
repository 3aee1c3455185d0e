"""What the runs of an evaluation came to: the choice in each fold, and its test predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gigakit.ablation.execution import read_result
from gigakit.ablation.fold_plan import FoldPlan, FoldRun
from gigakit.ablation.fold_runs import failure, is_finished
from gigakit.core.errors import ConfigError
from gigakit.tasks.evaluation.evaluation import FoldResult, Unit
from gigakit.tasks.evaluation.predictions import FILE, Predictions, read_predictions
from gigakit.tasks.evaluation.scores import validation_score
from gigakit.tasks.evaluation.splits import Split


def collect(
    plan: FoldPlan, splits: Sequence[Split], rounds: Sequence[int], *, unit: Unit
) -> tuple[list[FoldResult], list[str]]:
    """Return the test predictions of each finished fold, by the candidate that its val chose.

    The test predictions of the other candidates are not looked at.

    Args:
        plan: the runs.
        splits: the folds.
        rounds: of each fold.
        unit: what validation scores.

    Returns:
        The folds, and a note for each that is not finished.
    """
    results, notes = [], []
    for split, turn in zip(splits, rounds, strict=True):
        runs = plan.of_fold(split.name)
        missing = [run for run in runs if not is_finished(run)]
        if missing:
            notes.append(
                f"{missing[0].title} is not finished ({failure(missing[0])}): the numbers are "
                f"without {split.name}"
            )
            continue
        results.append(_fold(runs, split, turn, unit))
    return results, notes


def _fold(runs: Sequence[FoldRun], split: Split, turn: int, unit: Unit) -> FoldResult:
    found = [read_predictions(run.folder / FILE) for run in runs]
    best, score = 0, None
    if len(runs) > 1:
        scores = [validation_score(one.part("val"), unit) for one in found]
        # of equals the first
        best = max(range(len(runs)), key=lambda number: scores[number])
        score = scores[best][0]
    run, test = runs[best], found[best].part("test")
    _check_slides(test, split, run)
    result = read_result(run.folder) or {}
    facts: dict[str, Any] = {"seed": run.seed}
    if score is not None:
        facts |= {"chosen": run.candidate, "val_score": round(score, 4)}
    facts |= {name: round(result[name]) for name in ("steps", "seconds") if name in result}
    return FoldResult(split.name, turn, test, facts)


def _check_slides(test: Predictions, split: Split, run: FoldRun) -> None:
    if not len(test):
        raise ConfigError(
            "holds no prediction of the test split",
            where=run.folder / FILE,
            fix="give the recipe a test_dataloader and a PredictionsHook",
        )
    if len(test) > len(split.rows("test")):
        raise ConfigError(
            f"holds {len(test)} test slides, {split.name} has {len(split.rows('test'))}",
            where=run.folder / FILE,
        )
