"""Slides that a process keeps open, with their tile tables."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from gigakit.wsi.slide import Slide, open_slide
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import index_folder


class OpenSlides:
    """Opens slides when they are needed, and closes those that were not for longest.

    Each process opens its own.

    Args:
        reader: config from READERS; ``None`` chooses by the file.
        most_open: slides that are open at once.
    """

    def __init__(self, reader: dict[str, Any] | None, most_open: int) -> None:
        self.reader, self.most_open = reader, most_open
        self._process = 0
        self._opened: OrderedDict[Path, tuple[TileTable, Slide]] = OrderedDict()

    def get(self, path: Path) -> tuple[TileTable, Slide]:
        """Return a tile table and the slide it is of.

        Args:
            path: the table's file.

        Raises:
            SlideError: the slide cannot be opened.
            StoreError: the table cannot be read.
        """
        if self._process != os.getpid():
            self._process, self._opened = os.getpid(), OrderedDict()
        if path not in self._opened:
            table = TileTable.load(path)
            given = table.attrs.get("given_mpp", -1.0)
            # places of tiles that tiling found, so that opening need not look for them
            index = index_folder(path.parent)
            slide = open_slide(
                Path(table.attrs["source"]),
                reader=self.reader,
                mpp=given if given > 0 else None,
                index_folder=index if index.is_dir() else None,
            )
            self._opened[path] = table, slide
            if len(self._opened) > self.most_open:
                self._opened.popitem(last=False)[1][1].close()
        self._opened.move_to_end(path)
        return self._opened[path]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": 0, "_opened": OrderedDict()}
