"""What the cells of an ablation have in common, and what is prepared anew for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gigakit.ablation.plan import Plan
from gigakit.config import apply_section, diff_configs, load_config
from gigakit.core.files import digest8

# of the preparation, what decides the tiles
_TILES = ("segmenter", "tiler", "reader", "quality")
# and what decides nothing but its speed
_SPEED = ("batch_size", "batch_tokens", "num_workers", "device", "subfolders")
_SOURCE = ("cohort", "out", "features", "tiles")
_DATA = (*_SOURCE, "preparation", "train_dataloader")


@dataclass(frozen=True)
class Sharing:
    """What cells share.

    Args:
        stages: for each stage of the preparation the groups of cells that share it, by its name;
            empty where nothing is prepared.
        data: config keys of the training data in which cells differ.
        twins: groups of cells that are one and the same config.
        labels: of each cell.
    """

    stages: dict[str, list[list[str]]]
    data: list[str]
    twins: list[list[str]]
    labels: Mapping[str, Mapping[str, str]]

    def lines(self) -> list[str]:
        """Say it, a line a stage."""
        lines = []
        for stage, groups in self.stages.items():
            if len(groups) == 1:
                lines.append(f"{stage}: prepared once, for all cells")
                continue
            counts = [
                f"{name} ({len(cells)} cell{'s' * (len(cells) > 1)})"
                for name, cells in zip(self._names(groups), groups, strict=True)
            ]
            lines.append(f"{stage}: prepared {len(groups)} times, for {'; '.join(counts)}")
        if not self.stages:
            lines.append("features or tiles: as given, the same in all cells")
        return [*lines, f"data: {self._data()}"]

    def _names(self, groups: Sequence[Sequence[str]]) -> list[str]:
        """Name groups of cells by the labels that all cells of each share, and groups do not."""
        found = []
        axes = next(iter(self.labels.values()))
        held = {
            axis: [{self.labels[cell][axis] for cell in cells} for cells in groups] for axis in axes
        }
        telling = [
            axis
            for axis, labels in held.items()
            if all(len(label) == 1 for label in labels) and len(set.union(*labels)) > 1
        ]
        for cells in groups:
            labels = self.labels[cells[0]]
            found.append(",".join(f"{axis}={labels[axis]}" for axis in telling) or cells[0])
        return found

    def _data(self) -> str:
        if self.data:
            return f"cells differ in {', '.join(self.data)}"
        return "the same in all cells: runs of one seed draw the same samples in the same order"

    def warnings(self) -> list[str]:
        """Say what makes the plan a waste."""
        return [f"{' and '.join(cells)} are the same config" for cells in self.twins]


def find_sharing(plan: Plan) -> Sharing:
    """Find out what the cells of a plan share, from their configs alone."""
    values = resolved_cells(plan)
    first = next(iter(values.values()))
    stages = {}
    if not first.get("features") and not first.get("tiles"):
        for stage, parts in _stages(values).items():
            stages[stage] = _groups(parts)
    data = [{key: cell.get(key) for key in _DATA} for cell in values.values()]
    digests = {run.cell: run.digest for run in plan.runs if run.seed == 0}
    twins = [cells for cells in _groups(digests) if len(cells) > 1]
    return Sharing(stages, _differing(data), twins, plan.cells)


def resolved_cells(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the resolved config of each cell, by its name, with the first seed."""
    return {
        run.cell: apply_section(load_config(plan.recipe, run.overrides), "sample").values
        for run in plan.runs
        if run.seed == 0
    }


def _stages(cells: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what decides each stage, by stage and cell."""
    stages: dict[str, dict[str, dict[str, Any]]] = {"tiles": {}}
    for name, values in cells.items():
        preparation = dict(values.get("preparation") or {})
        source = {key: values.get(key) for key in _SOURCE}
        tiles = {key: preparation.get(key) for key in _TILES}
        stages["tiles"][name] = {**source, "preparation": tiles}
        if "encoder" in preparation:
            kept = {key: value for key, value in preparation.items() if key not in _SPEED}
            stages.setdefault("features", {})[name] = {**source, "preparation": kept}
    return stages


def _groups(by_cell: Mapping[str, Any]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for cell, value in by_cell.items():
        groups.setdefault(digest8(value), []).append(cell)
    return list(groups.values())


def _differing(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the dotted keys in which dicts differ from the first."""
    found = [entry.key for other in values[1:] for entry in diff_configs(values[0], other)]
    return list(dict.fromkeys(found))
