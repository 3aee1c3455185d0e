"""Small slides, sound and broken on purpose."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import tifffile

SIDE = 768


def tissue(side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Return light glass with a dark, textured square over its middle half."""
    generator = np.random.default_rng(seed)
    image = np.full((side, side, 3), 240, dtype=np.uint8)
    inner = slice(side // 8, side - side // 8)
    shape = image[inner, inner].shape
    noise = cv2.GaussianBlur(generator.integers(60, 180, shape).astype(np.float32), (0, 0), 2)
    image[inner, inner] = noise
    return image


def jpeg_slide(
    path: Path,
    image: np.ndarray | None = None,
    *,
    mpp: float = 0.5,
    tile: int = 256,
    downsamples: tuple[float, ...] = (1,),
    description: str | None = None,
    extratags: tuple[tuple[object, ...], ...] = (),
) -> Path:
    """Write a TIFF of JPEG tiles, as scanners do."""
    image = tissue() if image is None else image
    with tifffile.TiffWriter(path) as writer:
        for level, downsample in enumerate(downsamples):
            size = (round(image.shape[1] / downsample), round(image.shape[0] / downsample))
            reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            writer.write(
                _tiles(reduced, tile), shape=reduced.shape, dtype=np.uint8, tile=(tile, tile),
                # tifffile takes encoded tiles only of a compression that it could write
                photometric="rgb", compression="zlib", subfiletype=1 if level else 0,
                resolution=(1e4 / (mpp * downsample),) * 2, resolutionunit="CENTIMETER",
                description=description, metadata=None,
                extratags=[(530, "H", 2, (2, 2), True), *extratags],
            )  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(7)
            page.tags["PhotometricInterpretation"].overwrite(6)
    return path


def _tiles(image, tile):
    for top in range(0, image.shape[0], tile):
        for left in range(0, image.shape[1], tile):
            block = np.full((tile, tile, 3), 240, dtype=np.uint8)
            part = image[top : top + tile, left : left + tile]
            block[: part.shape[0], : part.shape[1]] = part
            yield simplejpeg.encode_jpeg(block, quality=90, colorsubsampling="420")


def aperio_slide(path: Path, told: str) -> Path:
    """Write a slide of Aperio's form whose description holds ``told``."""
    head = (
        f"Aperio Image Library v11.2.1\r\n{SIDE}x{SIDE} [0,0 {SIDE}x{SIDE}] (256x256) JPEG/RGB Q=90"
    )
    return jpeg_slide(path, description=f"{head}|AppMag = 20|{told}")


def other_slide(path: Path, image: np.ndarray | None = None, **options: object) -> Path:
    """Write a TIFF that is not of JPEG tiles, by tifffile's own options."""
    image = tissue() if image is None else image
    given = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib", **options}
    tifffile.imwrite(
        path, image, resolution=(2e4, 2e4), resolutionunit="CENTIMETER", metadata=None, **given
    )
    return path


def places(path: Path) -> list[tuple[int, int]]:
    """Return byte and length of each tile of level 0."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def overwrite(path: Path, at: int, data: bytes) -> Path:
    """Put other bytes into a file."""
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)
    return path


def retag(path: Path, **values: object) -> Path:
    """Overwrite tags of the first directory."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in values.items():
            file.pages[0].tags[name].overwrite(value)
    return path


def directories(path: Path, count: int, *, loop: bool) -> Path:
    """Write a TIFF of directories alone: each names the next; a loop has no end."""
    entries = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (279, 256)]
    size = 2 + 12 * len(entries) + 4
    with path.open("wb") as stream:
        stream.write(struct.pack("<2sHI", b"II", 42, 8))
        for number in range(count):
            following = 8 + (number + 1) * size if number + 1 < count else (8 if loop else 0)
            body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
            stream.write(struct.pack("<H", len(entries)) + body + struct.pack("<I", following))
        stream.write(bytes(300))
    return path
