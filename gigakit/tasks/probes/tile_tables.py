"""Which tiles, of which class, case and split: from a table or from the folders' names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gigakit.core.errors import ConfigError
from gigakit.tasks.probes.labelled import SPLITS
from gigakit.tasks.probes.tile_files import TileFiles

_SPLIT_NAMES = {**{name: name for name in SPLITS}, "valid": "val", "validation": "val"}
_NEEDED = ("tile", "label")


@dataclass(frozen=True)
class TileRow:
    """One labelled tile.

    Args:
        name: of its picture.
        label: its class.
        case: the patient or specimen; ``None`` where nothing tells.
        split: ``train``, ``val`` or ``test``; ``None`` where nothing tells.
    """

    name: str
    label: str
    case: str | None = None
    split: str | None = None


def rows_of_folders(files: TileFiles) -> list[TileRow]:
    """Return the tiles of ``<class>/...`` or ``<split>/<class>/...``.

    Raises:
        ConfigError: there are no pictures, or no folders.
    """
    names = [(name, name.split("/")) for name in files.names()]
    if not names:
        raise ConfigError(
            "holds no pictures", where=files.where, fix="name a folder with one folder per class"
        )
    split = all(parts[0].lower() in _SPLIT_NAMES for _, parts in names)
    for name, parts in names:
        if len(parts) < (3 if split else 2):
            raise ConfigError(
                f"{name} is in no folder of its class",
                where=files.where,
                fix="sort the tiles into one folder per class, or give --table",
            )
    if split:
        return [
            TileRow(name, parts[1], None, _SPLIT_NAMES[parts[0].lower()]) for name, parts in names
        ]
    return [TileRow(name, parts[0]) for name, parts in names]


def rows_of_table(table: Path, files: TileFiles, *, case: str) -> list[TileRow]:
    """Return the tiles of a table with the columns ``tile``, ``label`` and perhaps case and split.

    Args:
        table: CSV with a header.
        files: where its tiles lie; a tile that is not there is read later, and fails then.
        case: name of the column that tells a tile's case.

    Raises:
        ConfigError: a column is missing, a row cannot be used, or no tile is where it should be.
    """
    rows: list[TileRow] = []
    lines: dict[str, int] = {}
    absent = []
    for line, record in _records(table):
        where = f"{table}:{line}"
        found = files.find(record["tile"])
        if found is None:
            absent.append(record["tile"])
        name = found or record["tile"]
        if name in lines:
            raise ConfigError(f"{name} is also in line {lines[name]}", where=where)
        lines[name] = line
        if not record["label"]:
            raise ConfigError("the label is empty", where=where)
        rows.append(
            TileRow(name, record["label"], _case(record, case, where), _split(record, where))
        )
    if not rows:
        raise ConfigError("names no tiles", where=table)
    if len(absent) == len(rows):
        raise ConfigError(
            f"none of its tiles is in {files.where}, not even {absent[0]}",
            where=table,
            fix="name the folder that the paths start from with --root",
        )
    return rows


def _case(record: dict[str, str], column: str, where: str) -> str | None:
    if column in record and not record[column]:
        raise ConfigError(f"the {column} is empty", where=where)
    return record.get(column)


def _split(record: dict[str, str], where: str) -> str | None:
    if "split" not in record:
        return None
    told = record["split"].lower()
    if told not in _SPLIT_NAMES:
        raise ConfigError(
            f"the split is '{record['split']}'", where=where, fix=f"one of {', '.join(SPLITS)}"
        )
    return _SPLIT_NAMES[told]


def _records(table: Path) -> list[tuple[int, dict[str, str]]]:
    if not table.is_file():
        raise ConfigError("no such table", where=table)
    try:
        # utf-8-sig: spreadsheets write a byte-order mark
        with table.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream)
            columns = [name.strip().lower() for name in next(lines, [])]
            _check_columns(columns, table)
            return [
                (lines.line_num, _record(columns, fields, f"{table}:{lines.line_num}"))
                for fields in lines
                if fields
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"is no table in UTF-8: {error}", where=table, fix="save it as CSV, UTF-8"
        ) from error


def _check_columns(columns: Sequence[str], table: Path) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise ConfigError(
            f"has no column '{missing[0]}', only {', '.join(columns) or 'nothing'}",
            where=table,
            fix="its first line must name the columns: tile, label, and perhaps case and split",
        )
    if len(set(columns)) < len(columns):
        raise ConfigError(f"names a column twice: {', '.join(columns)}", where=table)


def _record(columns: Sequence[str], fields: Sequence[str], where: str) -> dict[str, str]:
    if len(fields) != len(columns):
        raise ConfigError(
            f"{len(fields)} fields for {len(columns)} columns",
            where=where,
            fix="put a field that holds a comma in quotes",
        )
    return {name: field.strip() for name, field in zip(columns, fields, strict=True)}
