"""Tables of tiles: labels, cases and splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.data.tile_files import TileFiles

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {**{name: name for name in SPLITS}, "valid": "val", "validation": "val"}


@dataclass(frozen=True)
class TileRow:
    """One tile of a table.

    Args:
        tile: its path inside of the root.
        label: its class, empty where the table tells none.
        case: the patient or biopsy it is from; ``None`` where the table has no such column.
        split: such as ``train``; ``None`` where the table has no such column.
        where: the place in the table, for errors.
    """

    tile: str
    label: str = ""
    case: str | None = None
    split: str | None = None
    where: str = ""


def read_tile_table(
    path: Path, files: TileFiles, *required: str, case: str = "case", absent: bool = False
) -> list[TileRow]:
    """Read a table of tiles with columns ``tile`` and possibly ``label``, ``case`` and ``split``.

    A tile is named by its path inside of the root. Its suffix may be left out, and so may a folder
    that holds all tiles, as many archives have one. Whether columns are named in capitals or not
    does not matter.

    Args:
        path: CSV in UTF-8.
        files: where the tiles lie.
        required: further columns that have to be there and filled.
        case: the column that tells a tile's case, in lower case.
        absent: tiles may not be there; reading them fails then.

    Raises:
        ConfigError: no table, an empty field, a tile named twice, or one that is not there, or
            that may be either of two.
    """
    names, seen = _Names(files), dict[str, str]()
    rows = []
    for where, fields in read_rows(path, "tile", *required, any_case=True):
        told = {name: field.strip() for name, field in fields.items()}
        for name in ("tile", *required):
            if not told[name]:
                raise ConfigError(f"its {name} is empty", where=where, fix="fill it")
        tile = names.meant(told["tile"], where, absent=absent)
        if tile in seen:
            raise ConfigError(
                f"tile '{tile}' is also that of {seen[tile]}", where=where, fix="keep one"
            )
        seen[tile] = where
        split = split_name(told["split"]) if "split" in told else None
        rows.append(TileRow(tile, told.get("label", ""), told.get(case), split, where))
    if not rows:
        raise ConfigError("lists no tiles", where=path)
    return rows


class _Names:
    """What tables call the tiles.

    Args:
        files: where the tiles lie.
    """

    def __init__(self, files: TileFiles) -> None:
        self._files = files
        self._short: dict[str, list[str]] | None = None

    def meant(self, told: str, where: str, *, absent: bool) -> str:
        """Return the tile that a table names; one that is not there by the name it is told."""
        if self._files.holds(told):
            return told
        if self._short is None:
            # made once it is needed: whole paths need no list of the ways to shorten them
            self._short = _by_short_name(self._files.names)
        meant = self._short.get(told, [])
        if len(meant) == 1:
            return meant[0]
        if absent and not meant:
            return told
        held = " and ".join(map(repr, meant or self._files.names[:1])) or "no tiles"
        what = "may be two tiles of" if meant else "is not in"
        raise ConfigError(
            f"tile '{told}' {what} {self._files.root}, which holds {held}",
            where=where,
            fix="name tiles by their path inside of the root",
        )


def _by_short_name(names: list[str]) -> dict[str, list[str]]:
    """Return the tiles that a shortened name may mean."""
    top = names[0].partition("/")[0] + "/" if names else ""
    shared = len(top) if all(name.startswith(top) for name in names) else 0
    known: dict[str, list[str]] = {}
    for name in names:
        for short in {name[shared:], name.rpartition(".")[0], name[shared:].rpartition(".")[0]}:
            known.setdefault(short, []).append(name)
    return known


def split_name(told: str) -> str:
    """Return ``train``, ``val`` or ``test`` of what they are called, and other names as they are.

    Capitals do not matter; ``valid`` and ``validation`` are ``val``.
    """
    return _SPLIT_NAMES.get(told.lower(), told)


def select_split(rows: list[TileRow], split: str | None, path: Path) -> list[TileRow]:
    """Return the rows of a split, by any of its names; ``None`` takes all.

    Raises:
        ConfigError: the table has no such split.
    """
    chosen = [row for row in rows if split is None or row.split == split_name(split)]
    if not chosen:
        splits = ", ".join(sorted({row.split or "" for row in rows} - {""})) or "none"
        raise ConfigError(f"has no split '{split}', only {splits}", where=path)
    return chosen


def class_names(labels: Iterable[str]) -> list[str]:
    """Return the classes that labels name, in the order of their numbers.

    They are ordered by name, and those that are all whole numbers by number.
    """
    found = sorted(set(labels))
    return sorted(found, key=int) if all(label.isdecimal() for label in found) else found
