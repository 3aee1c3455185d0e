"""Tables of tiles: labels, cases and splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.data.tile_files import TileFiles


@dataclass(frozen=True)
class TileRow:
    """One tile of a table.

    Args:
        tile: its path inside of the root.
        label: its class, empty where the table tells none.
        case: the patient or biopsy it is from; the tile itself where the table tells none.
        split: such as ``train``, empty where the table tells none.
    """

    tile: str
    label: str = ""
    case: str = ""
    split: str = ""


def read_tile_table(path: Path, files: TileFiles, *required: str) -> list[TileRow]:
    """Read a table of tiles with columns ``tile`` and possibly ``label``, ``case`` and ``split``.

    A tile is named by its path inside of the root. Its suffix may be left out, and so may a folder
    that holds all tiles, as many archives have one.

    Args:
        path: CSV in UTF-8.
        files: where the tiles lie.
        required: further columns that have to be there and filled.

    Raises:
        ConfigError: no table, an empty field, a tile named twice, or one that is not there, or
            that may be either of two.
    """
    known, seen = set(files.names), dict[str, str]()
    short: dict[str, list[str]] | None = None
    rows = []
    for where, fields in read_rows(path, "tile", *required):
        told = {name: fields.get(name, "").strip() for name in ("tile", "label", "case", "split")}
        for name in ("tile", *required):
            if not told[name]:
                raise ConfigError(f"its {name} is empty", where=where, fix="fill it")
        meant = [told["tile"]]
        if told["tile"] not in known:
            # made once it is needed: whole paths need no list of the ways to shorten them
            short = short or _by_short_name(files.names)
            meant = short.get(told["tile"], [])
        if len(meant) != 1:
            held = f"which holds {' and '.join(map(repr, meant or files.names[:1]))}"
            what = "may be two tiles of" if meant else "is not in"
            raise ConfigError(
                f"tile '{told['tile']}' {what} {files.root}, {held}",
                where=where,
                fix="name tiles by their path inside of the root",
            )
        tile = meant[0]
        if tile in seen:
            raise ConfigError(
                f"tile '{tile}' is also that of {seen[tile]}", where=where, fix="keep one"
            )
        seen[tile] = where
        rows.append(TileRow(tile, told["label"], told["case"] or tile, told["split"]))
    if not rows:
        raise ConfigError("lists no tiles", where=path)
    return rows


def _by_short_name(names: list[str]) -> dict[str, list[str]]:
    """Return the tiles that a shortened name may mean."""
    top = names[0].partition("/")[0] + "/"
    shared = len(top) if all(name.startswith(top) for name in names) else 0
    known: dict[str, list[str]] = {}
    for name in names:
        for short in {name[shared:], name.rpartition(".")[0], name[shared:].rpartition(".")[0]}:
            known.setdefault(short, []).append(name)
    return known


def select_split(rows: list[TileRow], split: str | None, path: Path) -> list[TileRow]:
    """Return the rows of a split; ``None`` takes all.

    Raises:
        ConfigError: the table has no such split.
    """
    chosen = [row for row in rows if split in (None, row.split)]
    if not chosen:
        splits = ", ".join(sorted({row.split for row in rows} - {""})) or "none"
        raise ConfigError(f"has no split '{split}', only {splits}", where=path)
    return chosen
