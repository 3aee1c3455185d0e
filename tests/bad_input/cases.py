"""Files of section "bad input": how each is made, and what its row in the status must say."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from bad_input.building import (
    SIDE,
    aperio_slide,
    directories,
    jpeg_slide,
    other_slide,
    overwrite,
    places,
    retag,
    tissue,
)

HUNDREDS_OF_TILES = {"tile": 64}


@dataclass(frozen=True)
class Case:
    """One file.

    Args:
        number: of the case in ``docs/bad_input.md``.
        make: writes it at a path and returns where it is.
        state: of its row.
        reason: what its row says, a regular expression; empty for none.
        suffix: of its path.
    """

    number: int
    make: Callable[[Path], Path]
    state: str = "failed"
    reason: str = ""
    suffix: str = ".tif"


def _cut(path: Path, keep: Callable[[int], int], **options: object) -> Path:
    jpeg_slide(path, **options)
    os.truncate(path, keep(path.stat().st_size))
    return path


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def _linked(path: Path) -> Path:
    return _link(path, jpeg_slide(path.with_name("linked-to.tif")))


def _damage(path: Path, change: Callable[[bytes], bytes], tile: int = 120) -> Path:
    """Change one of 256 tiles, amid the tissue."""
    jpeg_slide(path, tissue(1024), **HUNDREDS_OF_TILES)
    at, size = places(path)[tile]
    return overwrite(path, at, change(path.read_bytes()[at : at + size]))


def _zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def _half_zeroed(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def _noise_inside(data: bytes) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, 100, dtype=np.uint8).tobytes()
    middle = len(data) // 2
    return data[:middle] + noise + data[middle + len(noise) :]


def _sparse(path: Path) -> Path:
    jpeg_slide(path)
    counts = [size for _, size in places(path)]
    return retag(path, TileByteCounts=[*counts[:8], 0])


def _bomb(path: Path) -> Path:
    other_slide(path)
    at, bomb = path.stat().st_size, zlib.compress(bytes(300_000_000), 9)
    overwrite(path, at, bomb)
    return retag(path, TileOffsets=[at] * 9, TileByteCounts=[len(bomb)] * 9)


def _huge_frame(path: Path) -> Path:
    def ask_for_more(data: bytes) -> bytes:
        frame = data.index(b"\xff\xc0")
        return data[: frame + 5] + (65500).to_bytes(2, "big") * 2 + data[frame + 9 :]

    return _damage(path, ask_for_more)


def _transparent(path: Path) -> Path:
    alpha = np.full((SIDE, SIDE, 1), 255, dtype=np.uint8)
    pixels = np.concatenate([tissue(), alpha], axis=2)
    pixels[:90] = 0
    return other_slide(path, pixels, extrasamples=["unassalpha"])


def _bordered(path: Path) -> Path:
    pixels = tissue()
    pixels[:60] = pixels[:, :60] = 0
    return jpeg_slide(path, pixels)


def _flat(grey: int) -> Callable[[Path], Path]:
    return lambda path: jpeg_slide(path, np.full((SIDE, SIDE, 3), grey, dtype=np.uint8))


def _noise(path: Path) -> Path:
    generator = np.random.default_rng(0)
    return jpeg_slide(path, generator.integers(90, 150, (SIDE, SIDE, 3), dtype=np.uint8))


def _page(path: Path) -> Path:
    return _write(path, b"<html>404</html>")


def _mirax(path: Path) -> Path:
    return _write(path, b"\xff\xd8\xff" + bytes(100))


def _grey(path: Path) -> Path:
    return other_slide(path, tissue()[..., 0], photometric="minisblack")


def _levels(path: Path, side: int, *downsamples: float) -> Path:
    return jpeg_slide(path, tissue(side), mpp=0.125, tile=64, downsamples=downsamples)


def _huge_header(path: Path) -> Path:
    size = {"ImageWidth": 65_504, "ImageLength": 65_504}
    return retag(jpeg_slide(path), **size, TileWidth=65_504, TileLength=65_504)


def _png(path: Path) -> Path:
    return _write(path, cv2.imencode(".png", tissue(64))[1].tobytes())


ICC_PROFILE = (34675, "B", 4, b"abcd", True)
EMPTY = "none of its 9 tiles holds enough tissue"
SILENT = "does not tell its resolution in µm/px; give --mpp"
ABSURD = "which no slide scanner has; give --mpp"
ONE_OF_256 = r"0\.39% of it is damaged and taken for glass"
OTHER_TIFF = "a TIFF of a kind that OpenSlide does not read, or is damaged; convert it"
CUT = r"cut short: \d+ of \d+ tiles lie beyond its \d+ bytes; copy or download it again"

CASES = {
    "zero-bytes": Case(1, lambda p: _write(p, b""), reason="is empty; copy or download it again"),
    "half": Case(2, lambda p: _cut(p, lambda size: size // 2), reason=CUT),
    "header-only": Case(3, lambda p: _cut(p, lambda _: 8), reason="no slide that OpenSlide knows"),
    "cut-in-directory": Case(3, lambda p: _cut(p, lambda _: 200), reason=OTHER_TIFF),
    "end-missing": Case(
        4,
        lambda p: _cut(p, lambda size: size - 300, image=tissue(1024), tile=64),
        "done",
        ONE_OF_256,
    ),
    "html": Case(5, _page, reason="text page, .*fetch it again", suffix=".svs"),
    "png": Case(6, _png, reason="is a PNG image, not a slide; give it that suffix", suffix=".svs"),
    "no-suffix": Case(7, jpeg_slide, "done", suffix=""),
    "upper-case": Case(7, jpeg_slide, "done", suffix=".TIF"),
    "wrong-suffix": Case(7, jpeg_slide, "done", suffix=".dat"),
    "folder": Case(8, _folder, reason="is a folder, not a slide", suffix=".svs"),
    "broken-link": Case(9, lambda p: _link(p, p.with_name("nowhere")), reason="a broken link;"),
    "link-loop": Case(9, lambda p: _link(p, p), reason="symbolic links"),
    "good-link": Case(9, _linked, "done"),
    "gone": Case(11, lambda p: p, reason="no such file; check the path"),
    "no-mpp": Case(12, lambda p: aperio_slide(p, "Left = 1"), reason=SILENT, suffix=".svs"),
    "mpp-0": Case(13, lambda p: aperio_slide(p, "MPP = 0"), reason=ABSURD, suffix=".svs"),
    "mpp-negative": Case(14, lambda p: aperio_slide(p, "MPP = -0.5"), reason=ABSURD, suffix=".svs"),
    "mpp-nan": Case(15, lambda p: aperio_slide(p, "MPP = nan"), reason=SILENT, suffix=".svs"),
    "mpp-text": Case(15, lambda p: aperio_slide(p, "MPP = wide"), reason=SILENT, suffix=".svs"),
    "mpp-nm": Case(16, lambda p: aperio_slide(p, "MPP = 499"), reason=ABSURD, suffix=".svs"),
    "mpp-comma": Case(17, lambda p: aperio_slide(p, "MPP = 0,499"), "done", suffix=".svs"),
    "mpp-20x": Case(19, lambda p: aperio_slide(p, "MPP = 0.2325"), "done", suffix=".svs"),
    "one-tile-less": Case(23, lambda p: jpeg_slide(p, tissue(100)), "empty", "hold no whole tile"),
    "16-bit": Case(24, lambda p: other_slide(p, tissue().astype(np.uint16) * 257), "done"),
    "grey": Case(25, _grey, "done"),
    "transparent": Case(26, _transparent, "done"),
    "striped": Case(27, lambda p: other_slide(p, tile=None, rowsperstrip=16), reason=OTHER_TIFF),
    "tile-zeroed": Case(28, lambda p: _damage(p, _zeroed), "done", ONE_OF_256),
    "tile-half-zero": Case(29, lambda p: _damage(p, _half_zeroed), "done", ONE_OF_256),
    "tile-noise": Case(30, lambda p: _damage(p, _noise_inside), "done", ONE_OF_256),
    "tile-left-out": Case(31, _sparse, "done"),
    "offsets-beyond": Case(32, lambda p: retag(jpeg_slide(p), TileOffsets=[10**9] * 9), reason=CUT),
    "deflate": Case(33, other_slide, "done"),
    "lzma": Case(33, lambda p: other_slide(p, compression="lzma"), reason="Unsupported TIFF comp"),
    "levels-1-4-64": Case(34, lambda p: _levels(p, 1024, 1, 4, 64), "done"),
    "levels-1-16-4": Case(34, lambda p: _levels(p, 1024, 1, 16, 4), "done"),
    "levels-3.9997": Case(34, lambda p: _levels(p, 1023, 1, 3.9997), "done"),
    "directory-loop": Case(35, lambda p: directories(p, 3, loop=True), reason=OTHER_TIFF),
    "100000-directories": Case(35, lambda p: directories(p, 10**5, loop=False), reason=OTHER_TIFF),
    "all-white": Case(36, _flat(240), "empty", EMPTY),
    "all-dark": Case(37, _flat(90), "empty", EMPTY),
    "all-noise": Case(37, _noise, "empty", EMPTY),
    "black-border": Case(38, _bordered, "done"),
    "alone": Case(41, _mirax, reason="no folder .* beside it, .*; copy the folder", suffix=".mrxs"),
    "組織 (1) é 😐": Case(42, jpeg_slide, "done"),
    "a long name": Case(42, lambda p: p.with_name("x" * 300), reason="cannot be read: .*too long"),
    "icc-profile": Case(55, lambda p: jpeg_slide(p, extratags=(ICC_PROFILE,)), "done"),
    "hostile-size": Case(22, _huge_header, reason="asks for 65504 x 65504 px in tiles of"),
    "hostile-frame": Case(22, _huge_frame, "done", ONE_OF_256),
    "hostile-deflate": Case(22, _bomb, "empty", EMPTY),
}  # fmt: skip
