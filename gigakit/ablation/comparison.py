"""The cells of an ablation beside each other: quality, cost, and differences to the baseline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gigakit.ablation.differences import CellConfigs, changes_tile_encoder, incomparable
from gigakit.ablation.measures import LOSS, Metric, choose_metric, metric_named, shown_metrics
from gigakit.ablation.outcomes import Outcome, read_outcomes
from gigakit.ablation.plan import Plan
from gigakit.ablation.statistics import Paired, Spread, paired, spread
from gigakit.core.errors import ConfigError


@dataclass(frozen=True)
class ComparedCell:
    """One cell over its seeds.

    Args:
        name: such as ``attention=dilated``.
        labels: the chosen label of each axis, by the axis's name.
        runs: its runs, one a seed.
        quality: metrics over finished seeds, by name.
        delta: its difference to the baseline in the chosen metric; ``None`` where there is none.
        without: why there is no difference: ``baseline``, or what makes cells not comparable.
        unlike: names of other metrics in which it does not compare with the baseline.
    """

    name: str
    labels: Mapping[str, str]
    runs: tuple[Outcome, ...]
    quality: Mapping[str, Spread | None] = field(default_factory=dict)
    delta: Paired | None = None
    without: str = ""
    unlike: frozenset[str] = frozenset()

    @property
    def done(self) -> list[Outcome]:
        """Its finished runs."""
        return [run for run in self.runs if run.done]

    @property
    def status(self) -> str:
        """Return ``done``, or how many runs are in which other state."""
        states = [run.status for run in self.runs]
        if set(states) == {"done"}:
            return "done"
        counted = ((states.count(state), state) for state in dict.fromkeys(states))
        return ", ".join(f"{count} {state}" for count, state in counted)

    def mean(self, name: str) -> float | None:
        """Return the mean of what finished runs report under a name."""
        found = values_by_seed(self.done, name)
        return statistics.fmean(found.values()) if found else None

    @property
    def seconds_per_step(self) -> float | None:
        """Return wall seconds a step, validations included."""
        seconds, steps = self.mean("seconds"), self.mean("steps")
        return None if seconds is None or not steps else seconds / steps


@dataclass(frozen=True)
class Comparison:
    """An ablation as its files tell it now.

    Args:
        plan: the ablation.
        baseline: the cell that the others are compared with.
        metric: the one whose differences are told.
        shown: all columns of quality.
        cells: in the plan's order.
        configs: what sets the cells apart.
    """

    plan: Plan
    baseline: str
    metric: Metric
    shown: tuple[Metric, ...]
    cells: tuple[ComparedCell, ...]
    configs: CellConfigs

    @property
    def runs(self) -> list[Outcome]:
        """All runs."""
        return [run for cell in self.cells for run in cell.runs]

    @property
    def done(self) -> list[Outcome]:
        """All finished runs."""
        return [run for run in self.runs if run.done]

    @property
    def reference(self) -> Outcome | None:
        """A finished run that was asked what the baseline is asked: it tells what is no cell's."""
        alike = (cell for cell in self.cells if cell.name == self.baseline or not cell.unlike)
        return next((run for cell in alike for run in cell.done), None)

    @property
    def comparable(self) -> list[ComparedCell]:
        """The baseline, and the cells that compare with it."""
        return [cell for cell in self.cells if cell.without in ("", "baseline")]


def compare(plan: Plan, *, metric: str | None = None, baseline: str | None = None) -> Comparison:
    """Read what became of an ablation's runs and set its cells beside each other.

    Args:
        plan: the ablation; its runs may still go on.
        metric: the metric whose differences are told; by default the recipe's main one, or the
            downstream score where cells differ in their tile encoder.
        baseline: the cell that the others are compared with; by default the plan's.

    Raises:
        ConfigError: no such cell or metric.
    """
    names = list(dict.fromkeys(run.cell for run in plan.runs))
    base = baseline or plan.baseline or names[0]
    if base not in names:
        raise ConfigError(
            f"'{base}' is no cell", where="--baseline", fix="choose from " + ", ".join(names)
        )
    outcomes = read_outcomes(plan)
    reported = {name for run in outcomes for name in run.metrics}
    configs = CellConfigs(plan, base)
    found = {name: configs.differences(name) for name in names}
    chosen = choose_metric(
        reported,
        metric,
        encoders_differ=any(changes_tile_encoder(entries) for entries in found.values()),
    )
    shown = shown_metrics(reported)
    if chosen.name != LOSS and chosen not in shown:
        shown = [chosen, *shown]
    of_cell = {name: [run for run in outcomes if run.run.cell == name] for name in names}
    reference = values_by_seed(of_cell[base], chosen.name)
    cells = []
    for name in names:
        without = "baseline" if name == base else incomparable(chosen, found[name])
        values = values_by_seed(of_cell[name], chosen.name)
        delta = None if without else paired(_once(chosen, values), _once(chosen, reference))
        quality = {
            one.name: spread(list(_once(one, values_by_seed(of_cell[name], one.name)).values()))
            for one in (*shown, chosen, metric_named(LOSS))
        }
        unlike = frozenset(
            one.name for one in shown if not one.once and incomparable(one, found[name])
        )
        runs = tuple(of_cell[name])
        cells.append(ComparedCell(name, runs[0].run.labels, runs, quality, delta, without, unlike))
    return Comparison(plan, base, chosen, tuple(shown), tuple(cells), configs)


def values_by_seed(runs: Sequence[Outcome], name: str) -> dict[int, float]:
    """Return what finished runs report under a name, by seed; what is not finite is left out."""
    found = ((run.run.seed, run.value(name)) for run in runs if run.done)
    return {seed: value for seed, value in found if value is not None and math.isfinite(value)}


def _once(metric: Metric, values: dict[int, float]) -> dict[int, float]:
    """Count a number that is the same whatever the seed once."""
    return {0: next(iter(values.values()))} if metric.once and values else values
