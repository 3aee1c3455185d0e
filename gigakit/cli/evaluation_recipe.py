"""``gigakit evaluate`` of a recipe: each fold in a process of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gigakit.cli.evaluation import Asked, Cohort, announce, numbers_of, read_cohort, show
from gigakit.core.errors import GigakitError

if TYPE_CHECKING:
    from gigakit.ablation.fold_plan import FoldRun
    from gigakit.tasks.evaluation.card import Card
    from gigakit.tasks.evaluation.splits import Split


def evaluate_recipe(
    asked: Asked,
    choose: Sequence[str],
    overrides: Sequence[str],
    *,
    init_from: Path | None,
    jobs: int,
    shots: str | None,
    shot_draws: int,
) -> None:
    """Evaluate a recipe, each fold in a process of its own; show and write its card.

    Args:
        asked: the options.
        choose: texts ``key=v1,v2`` that each fold's val chooses from.
        overrides: of the recipe.
        init_from: weights that every run starts from.
        jobs: runs at once.
        shots: training patients a class, with commas; one evaluation each.
        shot_draws: of these patients, in each fold.

    Raises:
        GigakitError: a run failed; the card is of the others.
    """
    from gigakit.ablation.fold_plan import target_of
    from gigakit.engine.label_data import label_columns
    from gigakit.tasks.evaluation.card_files import write_card
    from gigakit.tasks.evaluation.few_shot import few_shot
    from gigakit.tasks.evaluation.shots_page import shots_table, write_shots

    told = target_of(asked.model, overrides)
    asked = dataclasses.replace(
        asked,
        columns=asked.columns or tuple(label_columns(told, asked.labels)),
        kind=asked.kind or told.get("kind"),
        patient=told.get("patient_column") or asked.patient,
    )
    numbers = [int(one) for one in numbers_of(shots, "--shots")] if shots else []
    cohort = read_cohort(asked)
    runs = RecipeRuns(asked, cohort, tuple(choose), tuple(overrides), init_from, jobs)
    if not numbers:
        card = runs.card(asked.folder, cohort.splits)
        write_card(asked.folder, card)
        show(card, asked.folder)
    else:
        from gigakit.cli.tables import print_table

        cards = {}
        for number in numbers:
            splits = few_shot(cohort.data, cohort.splits, number, draws=shot_draws, seed=asked.seed)
            cards[number] = runs.card(asked.folder / f"shots-{number}", splits)
        write_shots(asked.folder, cards)
        print_table(*shots_table(cards))
        announce(f"look: {asked.folder / 'shots.md'}")
    if runs.failed:
        raise GigakitError(
            f"{len(runs.failed)} runs failed, the first: {runs.failed[0].title}",
            where=asked.folder,
            fix="see logs; the same command tries them again",
        )


@dataclass
class RecipeRuns:
    """The runs of a recipe over some splits."""

    asked: Asked
    cohort: Cohort
    choose: tuple[str, ...]
    overrides: tuple[str, ...]
    init_from: Path | None
    jobs: int
    failed: list[FoldRun] = field(default_factory=list)

    def card(self, out: Path, splits: list[Split]) -> Card:
        """Train and test in each fold, and return the card of those that finished."""
        from gigakit.ablation.fold_plan import plan_folds
        from gigakit.ablation.fold_results import collect
        from gigakit.ablation.fold_runs import run_folds
        from gigakit.tasks.evaluation.card import make_card
        from gigakit.tasks.evaluation.evaluation import Evaluation
        from gigakit.tasks.evaluation.protocol import store_splits
        from gigakit.tasks.evaluation.splits import rounds_of

        asked, data = self.asked, self.cohort.data
        path = store_splits(out, self.cohort.labelled, data, splits)
        rounds = rounds_of(data, splits)
        plan = plan_folds(
            asked.model,
            splits,
            rounds,
            out=out,
            settings={
                "features": str(asked.features.resolve()),
                "labels": str(asked.labels.resolve()),
                "splits": str(path.resolve()),
                "target.columns": list(data.task.labels),
                "target.kind": data.task.kind,
                "target.patient_column": asked.patient,
            },
            overrides=self.overrides,
            choose=self.choose,
            init_from=self.init_from.resolve() if self.init_from else None,
            seed=asked.seed,
        )
        self.failed += run_folds(plan, jobs=self.jobs, announce=announce)
        results, unfinished = collect(plan, splits, rounds, unit=asked.scored)
        seeds = sorted({run.seed for run in plan.runs})
        facts = {
            "model": plan.name,
            **({"init_from": str(self.init_from)} if self.init_from else {}),
            "run_seeds": ", ".join(map(str, seeds)),
            **({"chosen": f"{'; '.join(self.choose)}, by each fold's val"} if self.choose else {}),
            **self.cohort.facts,
        }
        return make_card(
            Evaluation(plan.name, tuple(results), asked.scored, asked.ranked),
            draws=asked.draws,
            seed=asked.seed,
            notes=[*unfinished, *self.cohort.notes],
            facts=facts,
        )
