"""Cells listed in a file: a line, a row or an entry each."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gigakit.ablation.axes import Axis, Choice, choose, free_axis, value_label
from gigakit.core.catalogue import Catalogue, nearest
from gigakit.core.errors import ConfigError


def read_cells(
    path: Path, axes: Mapping[str, Axis], catalogue: Catalogue | None = None
) -> list[list[Choice]]:
    """Return the choices of each cell that a file lists.

    A text file has a cell a line: ``attention=flash mask_ratio=0.5``, with ``#`` before remarks and
    quotes around values with spaces. A ``.csv`` has an axis a column, where an empty field leaves
    the recipe's own value; a ``.json`` a list of objects. An axis is named as its flag or by any
    dotted config key.

    Args:
        path: the file.
        axes: the axes known by name.
        catalogue: what is registered.

    Raises:
        ConfigError: the file cannot be read, an axis or value is unknown, or a cell is there twice.
    """
    readers = {".csv": _csv_cells, ".json": _json_cells}
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(readers.get(path.suffix.lower(), _text_cells)(text))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {reason}", where=f"--list {path}") from error
    if not rows:
        raise ConfigError("lists no cells", where=f"--list {path}")
    known = dict(axes)
    cells: list[list[Choice]] = []
    seen: dict[tuple[tuple[str, str], ...], str] = {}
    for place, row in rows:
        where = f"{path}:{place}"
        chosen = [_choice(name, value, known, catalogue, where) for name, value in row.items()]
        key = tuple(sorted((choice.axis.name, choice.label) for choice in chosen))
        if key in seen:
            raise ConfigError(f"is the cell of line {seen[key]}", where=where, fix="keep one")
        seen[key] = place
        cells.append(chosen)
    return cells


def _choice(
    name: str, value: str, known: dict[str, Axis], catalogue: Catalogue | None, where: str
) -> Choice:
    plain = name.lstrip("-").replace("-", "_")
    axis = known.get(plain) or known.get(name)
    if axis is None and "." in name:
        axis = known[name] = free_axis(f"{name}={value}", known.keys())[0]
    if axis is None:
        close = nearest(plain, known)
        fix = f"did you mean '{close}'?" if close else f"known are {', '.join(known)}"
        raise ConfigError(f"'{name}' is no axis", where=where, fix=fix)
    try:
        chosen = choose(axis, value, catalogue)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.what}", where=where, fix=error.fix) from error
    if len(chosen) > 1:
        raise ConfigError(f"{name} has several values", where=where, fix="write a line for each")
    return chosen[0]


def _text_cells(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        row = {}
        for part in shlex.split(line, comments=True):
            name, equals, value = part.partition("=")
            if not equals or name in row:
                found = "is there twice" if name in row else "has no value"
                raise ValueError(f"line {number}: '{name}' {found}; write axis=value")
            row[name] = value
        if row:
            yield str(number), row


def _csv_cells(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    for row in reader:
        if None in row:
            raise ValueError(f"line {reader.line_num} has more fields than the first")
        yield (
            str(reader.line_num),
            {k.strip(): v.strip() for k, v in row.items() if v and v.strip()},
        )


def _json_cells(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    entries: Any = json.loads(text)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("is no list of objects")
    for number, entry in enumerate(entries, start=1):
        yield (
            str(number),
            {
                key: value if isinstance(value, str) else value_label(value)
                for key, value in entry.items()
            },
        )
