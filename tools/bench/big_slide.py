"""Builds the large slides that the benchmarks read, from the sample slide's pixels.

steps4   Aperio-like, 0.25 µm/px, 240-px JPEG tiles, levels 1/4/16: the usual 40x scan
steps2   generic TIFF, 0.25 µm/px, 256-px JPEG tiles, levels 1/2/4/8/16/32
single   generic TIFF, 0.5 µm/px, half the side, 256-px JPEG tiles, one level

The sample is laid out side by side, mirrored at random, within a quarter of the area; the rest is
the background of a scanner. JPEG quality 80, 4:2:0, as scanners write.

Usage:  python tools/bench/big_slide.py FOLDER [--side 40960]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import tifffile

from gigakit.wsi.sample import sample_path
from gigakit.wsi.slide import open_slide

QUALITY = 80
STRIP_ROWS = 3840
KINDS = {
    "steps4": {"mpp": 0.25, "tile": 240, "steps": (4, 4), "aperio": True},
    "steps2": {"mpp": 0.25, "tile": 256, "steps": (2, 2, 2, 2, 2), "aperio": False},
    "single": {"mpp": 0.5, "tile": 256, "steps": (), "aperio": False},
}


class Level:
    """Encodes a level as its rows come, and hands them on, reduced, to the next."""

    def __init__(self, side: int, tile: int, steps: tuple[int, ...]) -> None:
        self.side, self.tile = side, tile
        self.step = steps[0] if steps else 0
        self.next = Level(side // steps[0], tile, steps[1:]) if steps else None
        self.streams: list[bytes] = []
        self._rows: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Take the next rows of the level."""
        self._rows.append(rows)
        if self.next is not None:
            size = (rows.shape[1] // self.step, len(rows) // self.step)
            self.next.add(cv2.resize(rows, size, interpolation=cv2.INTER_AREA))
        self._encode(keep=self.tile)

    def finish(self) -> list[Level]:
        """Encode what is left, and return this level and all smaller ones."""
        self._encode(keep=1)
        return [self, *(self.next.finish() if self.next else [])]

    def _encode(self, keep: int) -> None:
        if sum(len(rows) for rows in self._rows) < keep:
            return
        block = np.concatenate(self._rows)
        start = 0
        while len(block) - start >= keep:
            self.streams += _encoded(block[start : start + self.tile], self.tile)
            start += self.tile
        self._rows = [block[start:].copy()]


def _encoded(rows: np.ndarray, tile: int) -> Iterator[bytes]:
    for left in range(0, rows.shape[1], tile):
        part = rows[:, left : left + tile]
        missing = ((0, tile - len(part)), (0, tile - part.shape[1]), (0, 0))
        yield simplejpeg.encode_jpeg(
            np.ascontiguousarray(np.pad(part, missing, mode="edge")),
            quality=QUALITY,
            colorsubsampling="420",
        )


def strips(side: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the slide from top to bottom, ``(rows, side, 3)`` uint8."""
    generator = np.random.default_rng(seed)
    with open_slide(sample_path()) as slide:
        sample = slide.read(0, 0, 0, *slide.level_dimensions[0])
    height, width = sample.shape[:2]
    flips = generator.integers(0, 4, (side // height + 1, side // width + 1))
    tissue = _tissue(side, generator)
    white = np.rint(generator.normal(243, 1.6, (STRIP_ROWS, 1024, 3))).astype(np.uint8)
    for top in range(0, side, STRIP_ROWS):
        rows = min(STRIP_ROWS, side - top)
        strip = np.tile(white[:rows], (1, side // 1024 + 1, 1))[:, :side].copy()
        for y in range(top, top + rows, 64):
            inside = tissue[y // 64]
            source_row, offset = divmod(y, height)
            for column in np.flatnonzero(inside):
                x = int(column) * 64
                strip[y - top : y - top + 64, x : x + 64] = _piece(
                    sample, flips[source_row, x // width], offset, x % width
                )
        yield strip


def _piece(sample: np.ndarray, flip: int, y: int, x: int) -> np.ndarray:
    view = sample[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]
    y, x = min(y, view.shape[0] - 64), min(x, view.shape[1] - 64)
    return view[y : y + 64, x : x + 64]


def _tissue(side: int, generator: np.random.Generator) -> np.ndarray:
    """Return which squares of 64 px show tissue: seven ragged ellipses, a quarter of the area."""
    cells = side // 64
    y, x = np.mgrid[:cells, :cells] / cells
    ragged = cv2.GaussianBlur(generator.normal(0, 1, (cells, cells)), (0, 0), 6) * 1.5
    inside = np.zeros((cells, cells), dtype=bool)
    for _ in range(7):
        centre, radii = generator.uniform(0.2, 0.8, 2), generator.uniform(0.07, 0.16, 2)
        inside |= ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1 + ragged
    return inside


def build(folder: Path, kind: str, side: int) -> Path:
    """Return a slide of a kind, which is built if it is not there yet."""
    settings = KINDS[kind]
    side = side if kind != "single" else side // 2
    path = folder / f"{kind}-{side}.{'svs' if settings['aperio'] else 'tif'}"
    if path.is_file():
        return path
    level = Level(side, settings["tile"], settings["steps"])
    for strip in strips(side):
        level.add(strip)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    _write(temporary, level.finish(), settings)
    return temporary.rename(path)


def _write(path: Path, levels: list[Level], settings: dict) -> None:
    mpp, tile = settings["mpp"], settings["tile"]
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            size = f"{level.side}x{level.side}"
            told = mpp * levels[0].side / level.side
            text = f"Aperio Image Library v12\r\n{size} ({tile}x{tile})|AppMag = 40|MPP = {mpp}"
            writer.write(
                iter(level.streams),
                shape=(level.side, level.side, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                photometric="rgb",
                # tifffile takes encoded tiles only of a compression that it could write
                compression="zlib",
                subfiletype=1 if number and not settings["aperio"] else 0,
                resolution=(1e4 / told, 1e4 / told),
                resolutionunit="CENTIMETER",
                description=text if settings["aperio"] else None,
                metadata=None,
                extratags=[(530, "H", 2, (2, 2), True)],
            )
    with tifffile.TiffFile(path, mode="r+b") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(7)
            page.tags["PhotometricInterpretation"].overwrite(6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=40960, help="px of level 0")
    given = parser.parse_args()
    for kind in KINDS:
        print(build(given.folder, kind, given.side))


if __name__ == "__main__":
    main()
