"""``gigakit evaluate`` of a frozen probe."""

from __future__ import annotations

from gigakit.cli.evaluation import Asked, announce, numbers_of, read_cohort, show


def evaluate_probe(
    asked: Asked,
    *,
    pool: str,
    embedding: str,
    layers: str,
    settings: str | None,
    inner_folds: int,
    shots: str | None,
    shot_draws: int,
) -> None:
    """Evaluate a frozen probe, and show and write its card."""
    from gigakit.tasks.evaluation.card_files import write_card
    from gigakit.tasks.evaluation.frozen import choose_probe
    from gigakit.tasks.evaluation.probing import Probing
    from gigakit.tasks.evaluation.shots_page import shots_table, write_shots
    from gigakit.tasks.evaluation.slide_vectors import read_slide_vectors

    unit, areas = asked.scored, asked.ranked
    values = numbers_of(settings, "--settings") if settings else None
    numbers = [int(one) for one in numbers_of(shots, "--shots")] if shots else []
    cohort = read_cohort(asked)
    choose_probe(asked.model, cohort.data.task)
    vectors = read_slide_vectors(
        asked.features, cohort.data.slides.tolist(), pool=pool, embedding=embedding, layers=layers
    )
    probing = Probing(
        asked.model,
        vectors,
        cohort.data,
        settings=values,
        inner_folds=inner_folds,
        unit=unit,
        areas=areas,
        draws=asked.draws,
        seed=asked.seed,
        facts=cohort.facts,
        notes=cohort.notes,
    )
    if numbers:
        from gigakit.cli.tables import print_table

        cards = probing.with_shots(cohort.splits, numbers, draws=shot_draws)
        write_shots(asked.folder, cards)
        print_table(*shots_table(cards))
        announce(f"look: {asked.folder / 'shots.md'}")
        return
    card = probing.over(cohort.splits, asked.folder)
    write_card(asked.folder, card)
    show(card, asked.folder)
