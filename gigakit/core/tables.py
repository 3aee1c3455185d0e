"""Tables that users write: CSV in UTF-8, whose first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from gigakit.core.errors import ConfigError


def read_rows(
    path: Path, *required: str, any_case: bool = False
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row stands, ``file:line``, and its fields by column.

    Args:
        path: the file; a byte-order mark and empty lines do not matter.
        required: columns that have to be there.
        any_case: ``Tile`` is the column ``tile``: all are named in lower case.

    Raises:
        ConfigError: no such file, no table, a missing or repeated column, or a row of another
            length.
    """
    try:
        yield from _rows(path, required, any_case=any_case)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError("no such table", where=path, fix="check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"is no table in UTF-8: {error}", where=path, fix="save it as CSV, UTF-8"
        ) from error


def _rows(
    path: Path, required: tuple[str, ...], *, any_case: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    # utf-8-sig: spreadsheets write a byte-order mark
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        columns = [name.strip() for name in next(lines, [])]
        if any_case:
            columns = [name.lower() for name in columns]
        for name in required:
            if name not in columns:
                raise ConfigError(
                    f"has no column '{name}', only {', '.join(columns) or 'nothing'}",
                    where=path,
                    fix=f"its first line must name the columns, {name} among them, parted by "
                    "commas",
                )
        if len(set(columns)) < len(columns):
            raise ConfigError(f"names a column twice: {', '.join(columns)}", where=path)
        for fields in lines:
            where = f"{path}:{lines.line_num}"
            if fields and len(fields) != len(columns):
                raise ConfigError(
                    f"{len(fields)} fields for {len(columns)} columns",
                    where=where,
                    fix="put a field that holds a comma in quotes",
                )
            if fields:
                yield where, dict(zip(columns, fields, strict=True))
