"""Tiles as WebDataset shards: tar files of JPEG and JSON, for clusters with slow storage."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from gigakit.core.errors import DamagedRegionError, SlideError, StoreError
from gigakit.core.files import atomic_path, write_json
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable

LOGGER = logging.getLogger(__name__)

# files that are open at once; a larger cohort is read in several passes
_MOST_OPEN = 256
MANIFEST = "shards.json"


@dataclass
class Shards:
    """What was written.

    Args:
        paths: the tar files.
        tiles: tiles in them.
        failed: what was left out, with the reason.
    """

    paths: list[Path]
    tiles: int = 0
    failed: list[str] = field(default_factory=list)


def write_tile_shards(
    tables: Sequence[Path],
    out: Path,
    *,
    tiles_per_shard: int = 2000,
    quality: int = 90,
    seed: int = 0,
    reader: dict[str, Any] | None = None,
    announce: Callable[[str], None] = LOGGER.info,
) -> Shards:
    """Write the tiles of tiled slides as JPEG into tar files that WebDataset reads.

    Every tile goes to a shard drawn at random, so that each shard is a sample of the whole cohort;
    within a shard tiles of one slide follow each other, which a reader's shuffle buffer mixes.
    Names are ``<number of the slide>_<number of the tile>.jpg`` and ``.json`` (slide, coordinates,
    grid, resolution). Shards appear whole; those that are there are not written again.

    Args:
        tables: tile files of the slides, which tell where the slides lie.
        out: folder of ``<number>.tar``.
        tiles_per_shard: on the mean.
        quality: of the JPEGs, which have no chroma subsampling.
        seed: draws the shards.
        reader: config from READERS; ``None`` chooses by the file.
        announce: receives a line for each slide that cannot be read.

    Raises:
        StoreError: no tiles, or the folder holds shards of other tiles or settings.
    """
    counts = [len(TileTable.load(path)) for path in tables]
    total = sum(counts)
    if not total:
        raise StoreError("no tiles to write", where=out, fix="tile the slides first")
    number = -(-total // tiles_per_shard)
    _claim(out, {"tiles": total, "slides": len(tables), "shards": number, "seed": seed,
                 "quality": quality, "first": tables[0].stem, "last": tables[-1].stem})  # fmt: skip
    starts = np.cumsum([0, *counts])
    shard_of = np.random.default_rng(seed).integers(number, size=total)
    made = Shards([out / f"{index:06}.tar" for index in range(number)])
    missing = [index for index, path in enumerate(made.paths) if not path.exists()]
    for begin in range(0, len(missing), _MOST_OPEN):
        group = missing[begin : begin + _MOST_OPEN]
        with _open_shards([made.paths[index] for index in group]) as files:
            tars = dict(zip(group, files, strict=True))
            for slide, path in enumerate(tables):
                own = shard_of[starts[slide] : starts[slide + 1]]
                wanted = np.flatnonzero(np.isin(own, group)).tolist()
                for tile, image, facts in _tiles(path, wanted, reader, made.failed, announce):
                    key = f"{slide:06}_{tile:06}"
                    tar = tars[int(own[tile])]
                    data = simplejpeg.encode_jpeg(image, quality=quality, colorsubsampling="444")
                    _add(tar, f"{key}.jpg", data)
                    _add(tar, f"{key}.json", json.dumps(facts).encode())
                    made.tiles += 1
    return made


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that holds shards of something else."""
    path = out / MANIFEST
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise StoreError(
                "holds shards of other tiles or settings", where=out, fix="name another folder"
            )
    else:
        write_json(path, settings)


@contextlib.contextmanager
def _open_shards(paths: Sequence[Path]) -> Iterator[list[tarfile.TarFile]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(tarfile.open(stack.enter_context(atomic_path(path)), "w"))
            for path in paths
        ]


def _tiles(
    path: Path,
    wanted: Sequence[int],
    reader: dict[str, Any] | None,
    failed: list[str],
    announce: Callable[[str], None],
) -> Iterator[tuple[int, np.ndarray, dict[str, Any]]]:
    """Yield number, pixels and facts of some of a slide's tiles; what is damaged is left out."""
    if not wanted:
        return
    table = TileTable.load(path)
    given = table.attrs.get("given_mpp", -1.0)
    try:
        with open_slide(
            Path(table.attrs["source"]), reader=reader, mpp=given if given > 0 else None
        ) as slide:
            for tile in wanted:
                try:
                    image = np.ascontiguousarray(table.read(slide, tile))
                except DamagedRegionError as error:
                    failed.append(f"{table.slide_id}, tile {tile}: {error}")
                    announce(failed[-1])
                    continue
                facts = {
                    "slide_id": table.slide_id,
                    "coords": table.coords[tile].tolist(),
                    "grid": table.grid[tile].tolist(),
                    "mpp": table.target_mpp,
                    "occupancy": round(float(table.occupancy[tile]), 4),
                }
                yield tile, image, facts
    except (SlideError, StoreError) as error:
        failed.append(f"{table.slide_id}: {error}")
        announce(failed[-1])


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
