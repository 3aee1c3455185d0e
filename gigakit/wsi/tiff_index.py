"""Where a TIFF's JPEG tiles lie in its file: read once, and kept in a small file."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import tifffile
from safetensors.numpy import save_file

from gigakit.core.errors import UnsuitedSlideError
from gigakit.core.files import atomic_path
from gigakit.wsi.jpeg_tiles import JpegForm

LOGGER = logging.getLogger(__name__)

FORMAT = 1
_JPEG, _TILED_RGB = 7, (1, 3)
# scanners write 4 to 30 directories; a loop or a bomb writes more
_MOST_PAGES = 256
_PHOTOMETRIC_RGB, _PHOTOMETRIC_YCBCR, _PHOTOMETRIC_GREY = 2, 6, 1


@dataclass(frozen=True)
class TiffLevel:
    """One level of JPEG tiles.

    Args:
        width: of the level in px.
        height: of the level in px.
        form: what its tiles have in common.
        offsets: ``(N,)`` uint64, byte at which each tile begins, row by row.
        sizes: ``(N,)`` uint32, its bytes; 0 where nothing is stored.
    """

    width: int
    height: int
    form: JpegForm
    offsets: np.ndarray
    sizes: np.ndarray

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.form.width)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.form.height)


@dataclass(frozen=True)
class TiffIndex:
    """What is needed to read a slide without parsing its file.

    Args:
        levels: level 0 first.
        downsamples: level-0 px per px of each level.
        vendor: the format, in OpenSlide's words.
        mpp: µm/px of level 0, (x, y), as the file tells it; ``None`` if it does not.
        mpp_source: where that comes from.
        background: RGB of what no tile covers.
    """

    levels: tuple[TiffLevel, ...]
    downsamples: tuple[float, ...]
    vendor: str
    mpp: tuple[float, float] | None
    mpp_source: str
    background: tuple[int, int, int]

    def save(self, path: Path, source: Path) -> None:
        """Write the index of a slide, atomically."""
        facts = asdict(replace(self, levels=()))
        facts["levels"] = [
            {
                "width": level.width,
                "height": level.height,
                "tile": [level.form.width, level.form.height],
                "prefix": level.form.prefix.hex(),
            }
            for level in self.levels
        ]
        arrays = {}
        for number, level in enumerate(self.levels):
            arrays[f"offsets{number}"] = level.offsets
            arrays[f"sizes{number}"] = level.sizes
        metadata = {"index": json.dumps(facts), "of": json.dumps(_stamp(source))}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata)

    @classmethod
    def load(cls, path: Path, source: Path) -> Self | None:
        """Return a slide's index; ``None`` if there is none of this very file."""
        if not path.is_file():
            return None
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if json.loads(metadata["of"]) != _stamp(source):
                    return None
                facts: dict[str, Any] = json.loads(metadata["index"])
                levels = tuple(
                    TiffLevel(
                        level["width"],
                        level["height"],
                        JpegForm(
                            level["tile"][0], level["tile"][1], bytes.fromhex(level["prefix"])
                        ),
                        file.get_tensor(f"offsets{number}"),
                        file.get_tensor(f"sizes{number}"),
                    )
                    for number, level in enumerate(facts.pop("levels"))
                )
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
            LOGGER.warning("%s: is damaged and is made anew: %s", path, error)
            return None
        facts = {key: tuple(v) if isinstance(v, list) else v for key, v in facts.items()}
        return cls(levels=levels, **facts)


def index_path(folder: Path, slide: Path) -> Path:
    """Return where a slide's index is kept: by a digest of its path, in 256 sub-folders."""
    digest = hashlib.sha256(str(slide.absolute()).encode()).hexdigest()[:20]
    return folder / digest[:2] / f"{digest}.safetensors"


def _stamp(source: Path) -> list[int]:
    status = source.stat()
    return [FORMAT, status.st_size, status.st_mtime_ns]


def tiled_levels(path: Path) -> list[TiffLevel]:
    """Return every tiled JPEG image of a TIFF, in the order of its directories.

    Raises:
        UnsuitedSlideError: it is no TIFF, is damaged, or has more directories than any scanner
            writes.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return [_level(page) for page in _pages(file, path) if _fits(page)]
    except UnsuitedSlideError:
        raise
    # tifffile reports damage in the words of whatever failed first
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, struct.error,
            OSError, AttributeError, OverflowError, MemoryError) as error:  # fmt: skip
        raise UnsuitedSlideError(f"its directories cannot be read: {error}", where=path) from error


def _pages(file: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPage]:
    pages: list[tifffile.TiffPage] = []
    for page in file.pages:
        if len(pages) == _MOST_PAGES:
            raise UnsuitedSlideError(f"has more than {_MOST_PAGES} directories", where=path)
        if isinstance(page, tifffile.TiffPage):
            pages.append(page)
    return pages


def _fits(page: tifffile.TiffPage) -> bool:
    """Return whether a directory is one image of 8-bit RGB or grey JPEG tiles."""
    plain = page.bitspersample == 8 and page.samplesperpixel in _TILED_RGB  # noqa: PLR2004
    colours = (_PHOTOMETRIC_RGB, _PHOTOMETRIC_YCBCR, _PHOTOMETRIC_GREY)
    return bool(
        page.is_tiled
        and page.compression == _JPEG
        and plain
        and page.planarconfig == 1
        and page.photometric in colours
        and page.imagedepth == 1
        and page.tilewidth % 8 == page.tilelength % 8 == 0
        and len(page.dataoffsets) == len(page.databytecounts) == _tiles(page)
    )


def _tiles(page: tifffile.TiffPage) -> int:
    return -(-page.imagewidth // page.tilewidth) * -(-page.imagelength // page.tilelength)


def _level(page: tifffile.TiffPage) -> TiffLevel:
    form = JpegForm.of(
        page.tilewidth,
        page.tilelength,
        page.jpegtables or b"",
        rgb=page.photometric == _PHOTOMETRIC_RGB and page.samplesperpixel > 1,
    )
    return TiffLevel(
        page.imagewidth,
        page.imagelength,
        form,
        np.array(page.dataoffsets, dtype=np.uint64),
        np.array(page.databytecounts, dtype=np.uint32),
    )
