"""What a reader of an ablation must know: what makes cells unequal, and what numbers mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gigakit.ablation.comparison import ComparedCell, Comparison
from gigakit.ablation.differences import OTHER_EMBEDDINGS, OTHER_TILES, budget_keys
from gigakit.ablation.measures import notes_of
from gigakit.ablation.statistics import LEAST_PAIRS
from gigakit.ablation.tables import UNLIKE

_SAME_SHARE = 0.001


def warnings_of(comparison: Comparison) -> list[str]:
    """Return what makes cells unequal or incomplete, one sentence each."""
    return [
        *_unequal(comparison),
        *_incomparable(comparison),
        *_alike(comparison),
        *_few_seeds(comparison),
        *_incomplete(comparison),
    ]


def notes_about(comparison: Comparison) -> list[str]:
    """Return what the numbers are and how they came about."""
    metric = comparison.metric
    better = "higher" if metric.higher_is_better else "lower"
    notes = [*notes_of(comparison.shown)]
    notes.append(
        "± is the sample standard deviation over the n finished seeds of a cell, not an error of "
        "the mean. The last loss is each cell's own training objective. s/step counts wall time, "
        "validations included; CPU s is processor time of all the run's processes."
    )
    if metric.once and len(comparison.cells) > 1:
        notes.append(
            f"Δ is cell minus baseline ({comparison.baseline}) in {metric.title} ({better} is "
            "better), of one score an encoder."
        )
    elif len(comparison.cells) > 1:
        notes.append(
            f"Δ is the mean of cell minus baseline ({comparison.baseline}) in {metric.title}, "
            f"paired by seed ({better} is better): as far as the cells allow, a seed has the "
            "same data order, first weights and masks. In brackets the 95 % percentile "
            "bootstrap interval over the pairs, beside it Student's t interval. Of three pairs the "
            "bootstrap interval is just their range, which holds the true mean about three times "
            "in four, not 95 in 100: of few seeds believe the t interval. Intervals are not "
            "corrected for the number of cells."
        )
    return notes + _of_runs(comparison.cells)


def _unequal(comparison: Comparison) -> Iterator[str]:
    done = [cell for cell in comparison.cells if cell.done]
    parameters = {cell.name: cell.mean("parameters") or 0.0 for cell in done}
    if parameters and max(parameters.values()) > min(parameters.values()) * (1 + _SAME_SHARE):
        least, most = (f"{choose(parameters.values()):,.0f}" for choose in (min, max))
        yield f"Cells differ in parameters: {least} to {most}."
    steps = {int(run.cost["steps"] or 0) for cell in done for run in cell.done}
    if len(steps) > 1:
        told = ", ".join(f"{step:,}" for step in sorted(steps))
        yield f"Cells differ in steps made: the budgets are not equal ({told})."
    planned: dict[str, list[str]] = {}
    for cell in comparison.cells:
        for key in budget_keys(comparison.configs.differences(cell.name)):
            planned.setdefault(key, []).append(cell.name)
    for key, cells in planned.items():
        yield f"Cells differ in their budget, {key}: {', '.join(cells)} from the baseline."
    for cell in done:
        for run in cell.done:
            if run.cost.get("skipped_steps"):
                yield (
                    f"{cell.name}, seed {run.run.seed}: {run.cost['skipped_steps']} of "
                    f"{run.cost['steps']} steps were skipped: loss or gradient was not finite."
                )


def _alike(comparison: Comparison) -> Iterator[str]:
    """Tell of cells whose runs came to the same numbers: their choice changed nothing."""
    by_numbers: dict[tuple[tuple[int, tuple[str, ...]], ...], list[str]] = {}
    names = ("first_loss", "last_loss", *(metric.name for metric in comparison.shown))
    for cell in comparison.cells:
        numbers = tuple(
            # rounding of another order of sums is no difference
            (run.run.seed, tuple(_rounded(run.value(name)) for name in names))
            for run in cell.done
        )
        if numbers:
            by_numbers.setdefault(numbers, []).append(cell.name)
    for cells in by_numbers.values():
        if len(cells) > 1:
            yield (
                f"{' and '.join(cells)} came to the same numbers (to four digits): what sets them "
                "apart changed nothing here."
            )


def _incomparable(comparison: Comparison) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for cell in comparison.cells:
        if cell.without not in ("", "baseline"):
            by_reason.setdefault(cell.without, []).append(cell.name)
    title = comparison.metric.title
    for reason, cells in by_reason.items():
        # of all cells but the baseline the names add nothing
        those = "all cells" if len(cells) == len(comparison.cells) - 1 else ", ".join(cells)
        yield f"Not comparable with the baseline in {title}: {those} ({reason})."
    titles = [
        metric.title
        for metric in comparison.shown
        if any(metric.name in cell.unlike for cell in comparison.cells)
    ]
    if titles:
        yield (
            f"{UNLIKE} marks {', '.join(titles)} of cells that predict other embeddings than the "
            "baseline, or were asked otherwise: these numbers do not compare with its."
        )
    if by_reason.keys() & {OTHER_TILES, OTHER_EMBEDDINGS}:
        yield (
            "What changes tiles or their embeddings is told by a score that does not depend on "
            "them: labelled tiles for tile encoders (--set labelled=...), a task on slides for "
            "tilers and segmenters."
        )


def _few_seeds(comparison: Comparison) -> Iterator[str]:
    if comparison.metric.once or not comparison.done:
        return
    seeds = len({run.run.seed for run in comparison.runs})
    if seeds == 1:
        yield "One seed says nothing about chance."
    elif seeds < LEAST_PAIRS:
        yield f"{seeds} seeds are too few for an interval: --seeds {LEAST_PAIRS} or more gives one."


def _incomplete(comparison: Comparison) -> Iterator[str]:
    told: dict[tuple[str, str, str], list[str]] = {}
    for run in comparison.runs:
        if not run.done:
            key = (run.run.cell, run.status, f": {run.reason}" if run.reason else "")
            told.setdefault(key, []).append(str(run.run.seed))
    for (cell, status, reason), seeds in told.items():
        name = "seed" if len(seeds) == 1 else "seeds"
        yield f"{cell}, {name} {', '.join(seeds)}: {status}{reason}."
    if told and len({len(cell.done) for cell in comparison.cells if cell.done}) > 1:
        yield (
            "Cells differ in finished seeds, so their means do not compare: only Δ, which is over "
            "the same seeds, does."
        )


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _of_runs(cells: Sequence[ComparedCell]) -> list[str]:
    """Return what runs noted: once what all share, then each cell's own."""
    by_cell = {cell.name: cell.done[-1].notes for cell in cells if cell.done}
    first = next(iter(by_cell.values()), ())
    shared = [note for note in first if all(note in notes for notes in by_cell.values())]
    lines = [f"All cells: {note}." for note in shared]
    for name, notes in by_cell.items():
        lines += [f"{name}: {note}." for note in notes if note not in shared]
    return lines
