"""Cells: which combinations of the axes' choices an ablation trains."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gigakit.ablation.axes import Axis, Choice, value_label
from gigakit.config import ABSENT, LoadedConfig, catalogue_of
from gigakit.config.overrides import Override, apply_override
from gigakit.config.reading import Reading
from gigakit.core.errors import ConfigError
from gigakit.core.files import digest8

Mode = Literal["grid", "one-at-a-time", "list"]
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Cell:
    """One combination: a choice of each axis.

    Args:
        choices: in the order of the axes.
    """

    choices: tuple[Choice, ...]

    @property
    def labels(self) -> dict[str, str]:
        """The chosen label by the axis's name."""
        return {choice.axis.name: choice.label for choice in self.choices}

    @property
    def settings(self) -> dict[str, Any]:
        """What the cell sets by dotted key; a component before what lies inside of it.

        Raises:
            ConfigError: two axes set one key.
        """
        found: dict[str, Any] = {}
        by: dict[str, str] = {}
        for choice in self.choices:
            for key, value in choice.settings.items():
                if key in found and found[key] != value:
                    raise ConfigError(
                        f"{by[key]} and {choice.axis.name} both set {key}",
                        where=f"cell {self.title}",
                        fix="vary one of them, or name the cells in a --list",
                    )
                found[key], by[key] = value, choice.axis.name
        return dict(sorted(found.items(), key=lambda item: item[0].count(".")))

    @property
    def title(self) -> str:
        """What it is, in words of the user's own."""
        return ",".join(f"{name}={label}" for name, label in self.labels.items())


def make_cells(
    base: LoadedConfig, choices: Sequence[Sequence[Choice]], mode: Mode = "grid"
) -> list[Cell]:
    """Return the cells of an ablation.

    Args:
        base: the recipe as overridden, without any choice.
        choices: the chosen values of each axis; in mode ``list``, the choices of each cell.
        mode: ``grid`` crosses the axes; ``one-at-a-time`` takes the recipe's own values first, then
            varies each axis alone; ``list`` takes the cells as they are, with the recipe's own
            value of each axis that a cell does not name.
    """
    if mode == "grid":
        return [Cell(chosen) for chosen in itertools.product(*choices)]
    axes = {choice.axis.name: choice.axis for chosen in choices for choice in chosen}
    chosen_of = {
        name: [choice for chosen in choices for choice in chosen if choice.axis.name == name]
        for name in axes
    }
    own = {name: own_choice(axis, base, chosen_of[name]) for name, axis in axes.items()}
    varied: Sequence[Sequence[Choice]] = choices
    if mode == "one-at-a-time":
        varied = [[], *([choice] for chosen in choices for choice in chosen)]
    cells: dict[str, Cell] = {}
    for named in varied:
        cell = Cell(tuple((own | {choice.axis.name: choice for choice in named}).values()))
        # the recipe's own value is one of those to vary
        cells.setdefault(cell.title, cell)
    return list(cells.values())


def own_choice(axis: Axis, base: LoadedConfig, chosen: Sequence[Choice] = ()) -> Choice:
    """Return the choice that leaves a config as it is, under the label of a cell equal to it.

    Args:
        axis: the axis.
        base: the config.
        chosen: choices whose labels come first, if one of them is it.
    """
    declared = [Choice(axis, label, value) for label, value in axis.cells.items()]
    for choice in [*chosen, *declared]:
        if _leaves(base, choice):
            return choice
    value = _value_at(base.values, axis.key) if axis.key else ABSENT
    label = value["type"] if isinstance(value, dict) and "type" in value else value_label(value)
    if value is ABSENT or isinstance(value, list) or len(label) > _LONGEST_NAME // 4:
        label = "recipe"
    return Choice(axis, label, ABSENT)


def cell_names(cells: Sequence[Cell]) -> list[str]:
    """Return a name for each cell that can be a folder's; no two are alike."""
    safe = [
        ",".join(f"{name}={_safe(label)}" for name, label in cell.labels.items()) for cell in cells
    ]
    count = Counter(safe)
    return [
        name
        if count[name] == 1 and len(name) <= _LONGEST_NAME
        else f"{name[:_LONGEST_NAME]}~{digest8(cell.labels)}"
        for name, cell in zip(safe, cells, strict=True)
    ]


def _leaves(base: LoadedConfig, choice: Choice) -> bool:
    reading = Reading(copy.deepcopy(base.values))
    catalogue = catalogue_of(base)
    try:
        for key, value in choice.settings.items():
            apply_override(reading, Override(key, value, "cell"), catalogue)
    except ConfigError:
        # it does not fit by itself; its own cell tells
        return False
    return digest8(reading.values) == digest8(base.values)


def _value_at(values: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(values, dict) and part in values:
            values = values[part]
        elif isinstance(values, list | tuple) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return ABSENT
    return values


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() or c in "._-+()" else "_" for c in label)
