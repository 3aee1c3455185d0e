"""The baseline: the cell that the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping

from gigakit.ablation.axes import split_values
from gigakit.core.catalogue import nearest
from gigakit.core.errors import ConfigError


def find_baseline(
    cells: Mapping[str, Mapping[str, str]], own: str, wanted: str | None = None
) -> str:
    """Return the name of the baseline cell.

    Args:
        cells: labels by axis of each cell, by its name.
        own: the cell to take where none is wanted, which settles what ``wanted`` leaves open.
        wanted: a cell's name, or labels of it parted by commas: ``dilated``, or
            ``attention=dilated,0.75``.

    Raises:
        ConfigError: no cell has these labels, or several have, and none of them agrees with ``own``
            in all others.
    """
    if wanted is None or wanted in cells:
        return wanted or own
    asked = split_values(wanted)
    found = [name for name, labels in cells.items() if all(_has(labels, text) for text in asked)]
    if not found:
        known = [*cells, *{label for labels in cells.values() for label in labels.values()}]
        close = nearest(wanted, known)
        raise ConfigError(
            f"no cell is '{wanted}'",
            where="--baseline",
            fix=f"did you mean '{close}'?" if close else f"name one of {'; '.join(cells)}",
        )
    return found[0] if len(found) == 1 else _closest(cells, found, own, asked)


def _closest(
    cells: Mapping[str, Mapping[str, str]], found: list[str], own: str, asked: list[str]
) -> str:
    """Return the cell that differs from the own one in nothing but what was asked for."""
    for name in found:
        rest = {
            axis: label for axis, label in cells[name].items() if not _is_asked(axis, label, asked)
        }
        if all(cells[own].get(axis) == label for axis, label in rest.items()):
            return name
    raise ConfigError(
        f"several cells are '{','.join(asked)}'",
        where="--baseline",
        fix=f"name one of {'; '.join(found)}",
    )


def _has(labels: Mapping[str, str], text: str) -> bool:
    return any(_is_asked(axis, label, [text]) for axis, label in labels.items())


def _is_asked(axis: str, label: str, asked: list[str]) -> bool:
    return label in asked or f"{axis}={label}" in asked
