"""Which tiles, of which class, case and split: from a table or from the folders' names."""

from __future__ import annotations

from pathlib import Path

from gigakit.core.errors import ConfigError
from gigakit.data.tile_files import FolderTiles, TileFiles
from gigakit.data.tile_table import SPLITS, TileRow, read_tile_table, split_name


def rows_of_folders(files: TileFiles) -> list[TileRow]:
    """Return the tiles of ``<class>/...`` or ``<split>/<class>/...``.

    A shard's name is no folder, nor is one that holds everything in an archive.

    Raises:
        ConfigError: there are no such folders.
    """
    folders = [name.split("/")[:-1] for name in files.names]
    if not isinstance(files, FolderTiles):
        folders = _without_top(folders)
    split = all(inner and split_name(inner[0]) in SPLITS for inner in folders)
    depth = 2 if split else 1
    for name, inner in zip(files.names, folders, strict=True):
        if len(inner) < depth:
            raise ConfigError(
                f"{name} is in no folder of its class",
                where=files.root,
                fix="sort the tiles into one folder per class, or give --table",
            )
    return [
        TileRow(name, inner[depth - 1], split=split_name(inner[0]) if split else None)
        for name, inner in zip(files.names, folders, strict=True)
    ]


def _without_top(folders: list[list[str]]) -> list[list[str]]:
    if all(inner and inner[0].lower().endswith(".tar") for inner in folders):
        folders = [inner[1:] for inner in folders]
    deep = all(len(inner) > 1 for inner in folders)
    return [inner[1:] for inner in folders] if deep and _one_top(folders) else folders


def _one_top(folders: list[list[str]]) -> bool:
    return len({inner[0] for inner in folders}) == 1


def rows_of_table(table: Path, files: TileFiles, *, case: str) -> list[TileRow]:
    """Return the tiles of a table with the columns ``tile``, ``label`` and perhaps case and split.

    Args:
        table: CSV with a header.
        files: where its tiles lie; a tile that is not there is read later, and fails then.
        case: name of the column that tells a tile's case.

    Raises:
        ConfigError: a column is missing, a row cannot be used, or no tile is where it should be.
    """
    rows = read_tile_table(table, files, "label", case=case, absent=True)
    for row in rows:
        if row.case == "":
            raise ConfigError(f"its {case} is empty", where=row.where, fix="fill it")
        if row.split not in (None, *SPLITS):
            raise ConfigError(
                f"the split is '{row.split}'", where=row.where, fix=f"one of {', '.join(SPLITS)}"
            )
    if not any(files.holds(row.tile) for row in rows):
        raise ConfigError(
            f"none of its tiles is in {files.root}, not even {rows[0].tile}",
            where=table,
            fix="name the folder that the paths start from with --root",
        )
    return rows
