"""JPEG-tiled TIFF and SVS, each stored tile decoded once and strictly."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError, DamagedRegionError, UnreadableSlideError
from gigakit.registry import READERS
from gigakit.wsi.jpeg_tiles import decode_tile
from gigakit.wsi.slide import SCALED_STEPS, Slide, explicit_mpp
from gigakit.wsi.tiff_geometry import build_index
from gigakit.wsi.tiff_index import TiffIndex, index_path


@READERS.register_module()
class JpegTiffReader(Slide):
    """Read Aperio SVS, generic tiled TIFF and OME-TIFF whose tiles are 8-bit JPEG.

    Pixels are those of OpenSlide, bit for bit, which is tried out on one tile of each level when a
    slide is opened for the first time; what differs is declined. Where 1/2, 1/4 or 1/8 of a level
    is wanted, tiles are decoded at that size, from as many of their frequencies.

    Args:
        path: the file; handed in.
        mpp: resolution in µm/px that overrides the slide's; handed in.
        index_folder: where the places of the tiles are kept, so that the slide opens at once the
            next time; handed in. ``None`` keeps nothing.
        cache_mib: decoded tiles kept, in MiB; two rows of a slide of 100,000 px at half size.
        scaled_decode: decode at reduced size where a reduced level is wanted; ``False`` averages
            over full-size pixels.

    Raises:
        UnsuitedSlideError: it has no JPEG tiles, or they cannot be read exactly.
        UnreadableSlideError: it is cut short, or asks for more than a slide can hold.
        MissingMppError: the slide tells a resolution that cannot be one.
    """

    def __init__(
        self,
        path: Path,
        mpp: float | None = None,
        *,
        index_folder: Path | None = None,
        cache_mib: int = 32,
        scaled_decode: bool = True,
    ) -> None:
        if cache_mib < 1:
            raise ConfigError(f"got {cache_mib}", where="JpegTiffReader.cache_mib", fix="try 32")
        index = _index(path, index_folder)
        self.path = path
        self.vendor = index.vendor
        self.level_dimensions = [(level.width, level.height) for level in index.levels]
        self.level_downsamples = list(index.downsamples)
        self.mpp = explicit_mpp(mpp, path) or index.mpp
        self.mpp_source = "given" if mpp is not None else index.mpp_source
        self._levels = index.levels
        self._background = index.background
        self.scaling = "dct" if scaled_decode else "area"
        self._tiles = _Recent(cache_mib * 2**20)
        self._file = _open(path)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a region; see :meth:`Slide.read`."""
        return self._assemble(level, 1, x, y, width, height)

    def read_scaled(
        self, level: int, factor: int, x: int, y: int, width: int, height: int
    ) -> np.ndarray:
        """Read a region at a fraction of a level's size; see :meth:`Slide.read_scaled`."""
        if factor not in SCALED_STEPS or self.scaling != "dct":
            return super().read_scaled(level, factor, x, y, width, height)
        return self._assemble(level, factor, x, y, width, height)

    def stored_rows(self, level: int) -> int:
        """Return the height of a level's tiles; see :meth:`Slide.stored_rows`."""
        return self._levels[level].form.height

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._tiles.clear()

    def _assemble(
        self, level: int, factor: int, x: int, y: int, width: int, height: int
    ) -> np.ndarray:
        form = self._levels[level].form
        across, down = form.width // factor, form.height // factor
        columns, rows = (-(-size // factor) for size in self.level_dimensions[level])
        region = np.empty((height, width, 3), dtype=np.uint8)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, columns), min(y + height, rows)
        if left >= right or top >= bottom:
            region[:] = self._background
            return region
        if (left, top, right, bottom) != (x, y, x + width, y + height):
            region[:] = self._background
        for row in range(top // down, -(-bottom // down)):
            above = row * down
            upper, lower = max(top, above), min(bottom, above + down)
            into, out_of = slice(upper - y, lower - y), slice(upper - above, lower - above)
            for column in range(left // across, -(-right // across)):
                before = column * across
                first, last = max(left, before), min(right, before + across)
                tile = self._tile(level, factor, column, row)
                region[into, first - x : last - x] = tile[out_of, first - before : last - before]
        return region

    def _tile(self, level: int, factor: int, column: int, row: int) -> np.ndarray:
        stored = self._levels[level]
        number = row * stored.columns + column
        key = (level, factor, number)
        tile = self._tiles.get(key)
        if tile is None:
            try:
                tile = decode_tile(self._bytes(level, number), stored.form, factor)
            except ValueError as error:
                raise DamagedRegionError(
                    f"is damaged at level {level}, in its tile {column}, {row} of "
                    f"{stored.form.width} px: {error}",
                    where=self.path,
                ) from error
            self._tiles.put(key, tile)
        return tile

    def _bytes(self, level: int, number: int) -> bytes:
        stored = self._levels[level]
        offset, size = int(stored.offsets[number]), int(stored.sizes[number])
        try:
            data = os.pread(self._file, size, offset)
        except OSError as error:
            raise DamagedRegionError(
                f"cannot be read at byte {offset}: {error.strerror}", where=self.path
            ) from error
        if len(data) < size:
            raise ValueError(f"the file ends before byte {offset + size}")
        return data


class _Recent:
    """The tiles decoded last, up to a number of bytes; threads may share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        # dicts keep their order; the one that came first goes first
        self._tiles: dict[tuple[int, int, int], np.ndarray] = {}
        self._lock = threading.Lock()
        self.get = self._tiles.get

    def put(self, key: tuple[int, int, int], tile: np.ndarray) -> None:
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._held += tile.nbytes
            while self._held > self._limit and len(self._tiles) > 1:
                self._held -= self._tiles.pop(next(iter(self._tiles))).nbytes

    def clear(self) -> None:
        with self._lock:
            self._tiles.clear()
            self._held = 0


def _index(path: Path, folder: Path | None) -> TiffIndex:
    if folder is None:
        return build_index(path)
    kept = index_path(folder, path)
    index = TiffIndex.load(kept, path)
    if index is None:
        index = build_index(path)
        index.save(kept, path)
    return index


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UnreadableSlideError(f"cannot be opened: {error.strerror}", where=path) from error
