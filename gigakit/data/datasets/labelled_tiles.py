"""Stored tiles with labels, to evaluate an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch.utils.data import Dataset

from gigakit.core.errors import ConfigError, DamagedRegionError, StoreError
from gigakit.data.tile_files import open_tile_files
from gigakit.data.tile_table import class_names, read_tile_table, select_split
from gigakit.registry import AUGMENTATIONS, DATASETS
from gigakit.wsi.image_decoding import decode_image


@DATASETS.register_module()
class LabelledTiles(Dataset[dict[str, Any]]):
    """Tiles, their classes, and the cases they are from; nothing is random.

    Classes are numbered in the order of their names in the whole table, so that every split numbers
    them alike; names that are all whole numbers are ordered as such.

    Args:
        root: where the tiles lie; see ``TileImages``.
        table: CSV with columns ``tile``, ``label`` and possibly ``case`` and ``split``.
        split: which tiles, ``valid`` and ``validation`` being ``val``; ``None`` takes all, and
            each item tells its split.
        transform: config from AUGMENTATIONS from a tile to ``(3, S, S)`` uint8; ``ResizeCrop`` by
            default.

    Attributes:
        classes: names of the classes, by number.

    Raises:
        ConfigError: no tiles there, no table, or a table or split that does not fit.
        StoreError: a damaged archive.
    """

    metainfo: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        root: str | None = None,
        table: str | None = None,
        split: str | None = None,
        transform: dict[str, Any] | None = None,
    ) -> None:
        for name, given in {"root": root, "table": table}.items():
            if given is None:
                raise ConfigError("is not given", where=f"LabelledTiles.{name}", fix="set it")
        self.files = open_tile_files(Path(str(root)))
        path = Path(str(table))
        rows = read_tile_table(path, self.files, "label")
        self.classes = class_names(row.label for row in rows)
        self.rows = select_split(rows, split, path)
        self.transform = AUGMENTATIONS.build(dict(transform or {"type": "ResizeCrop"}))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Return one tile.

        Args:
            key: an index, or ``(index, draw)`` from a resumable sampler.

        Returns:
            ``images`` (3, S, S) uint8, ``label`` int, ``case``, ``split`` and ``image_id`` str.

        Raises:
            StoreError: the tile cannot be read; scores must not depend on what takes its place.
        """
        row = self.rows[key[0] if isinstance(key, tuple) else key]
        try:
            pixels = decode_image(self.files.read(row.tile))
        except DamagedRegionError as error:
            raise StoreError(
                f"tile '{row.tile}' {error.what}",
                where=self.files.root,
                fix="mend it, or take it out of the table",
            ) from error
        return {
            "images": self.transform(pixels),
            "label": self.classes.index(row.label),
            "case": row.case or row.tile,
            "split": row.split or "",
            "image_id": row.tile,
        }
