"""Reading tiles from large slides: gigakit's readers beside OpenSlide and the codec's own limit.

limit           each JPEG that the tiles touch is read and decoded once, at full size, and dropped
limit, half     the same at half size
gigakit         JpegTiffReader as it comes: at 0.25 µm/px tiles are decoded at half size
gigakit area    JpegTiffReader that decodes at full size and averages
openslide       gigakit's OpenSlideReader, which goes round Pillow
openslide/PIL   read_region, convert("RGB"), resize(BICUBIC): how most tools read

Tiles are the slide's kept ones in reading order, 256 px at 0.5 µm/px, and at 0.25 where that is
stored. All ways take turns in one
process, each with a newly opened slide. Besides: full-size reading, a single-level slide's
thumbnail, tiling as a whole, opening, random places as pretraining reads them.

Usage:  python tools/bench/slide_readers.py FOLDER [--side 40960] [--tiles 400] [--turns 3]
                                            [--thumbnail-by-openslide] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openslide
from big_slide import KINDS, build
from measure import Times, in_turns, once
from PIL import Image

from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.jpeg_tiles import decode_tile
from gigakit.wsi.readers.jpeg_tiff_reader import JpegTiffReader
from gigakit.wsi.readers.openslide_reader import OpenSlideReader
from gigakit.wsi.reduction import read_reduced
from gigakit.wsi.resolution import choose_level, read_window
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TileSlides, TilingSettings

SETTINGS = TilingSettings(segmenter={"type": "OtsuSegmenter"}, tiler={"type": "GridTiler"})
BASELINE, LIMIT, HALF = "openslide/PIL", "limit", "limit, half"


def read_all(slide: Slide, table: TileTable) -> list[np.ndarray]:
    with slide:
        return [table.read(slide, index) for index in range(len(table))]


def drop_all(slide: Slide, table: TileTable) -> None:
    with slide:
        for index in range(len(table)):
            table.read(slide, index)


def read_with_pillow(path: Path, table: TileTable) -> None:
    with OpenSlideReader(path) as known:
        choice = choose_level(known, table.target_mpp)
        downsample = known.level_downsamples[choice.level]
    size = round(table.footprint[0] / downsample)
    with openslide.OpenSlide(path) as slide:
        for x, y in table.coords.tolist():
            tile = slide.read_region((x, y), choice.level, (size, size)).convert("RGB")
            if size != table.tile_size_px:
                tile = tile.resize((table.tile_size_px,) * 2, Image.Resampling.BICUBIC)
            np.asarray(tile)


def decode_once(path: Path, table: TileTable, folder: Path, factor: int = 1) -> None:
    """Decode each touched JPEG once, at full size or a fraction of it."""
    with JpegTiffReader(path, index_folder=folder) as slide:
        choice = choose_level(slide, table.target_mpp)
        level, stored = choice.level, slide._levels[choice.level]
        for number in touched(table, stored, slide.level_downsamples[level]):
            decode_tile(slide._bytes(level, number), stored.form, factor)


def touched(table: TileTable, stored: Any, downsample: float) -> list[int]:
    """Return the numbers of the stored tiles that a table's tiles touch."""
    numbers = set()
    side = table.footprint[0] / downsample
    for x, y in (table.grid * side).tolist():
        columns = range(int(x // stored.form.width), int(-(-(x + side) // stored.form.width)))
        rows = range(int(y // stored.form.height), int(-(-(y + side) // stored.form.height)))
        numbers |= {row * stored.columns + column for row in rows for column in columns}
    return sorted(number for number in numbers if number < len(stored.sizes))


def first(table: TileTable, count: int) -> TileTable:
    """Return a run of kept tiles from the middle of a table."""
    begin = max(0, (len(table) - count) // 2)
    part = slice(begin, begin + count)
    return TileTable(
        table.slide_id, table.coords[part], table.grid[part], table.occupancy[part],
        table.tile_size_px, table.target_mpp, table.footprint, table.attrs,
    )  # fmt: skip


def psnr(found: list[np.ndarray], exact: list[np.ndarray]) -> float:
    squares = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(found, exact, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(squares)))


def measure_tiles(path: Path, table: TileTable, folder: Path, turns: int) -> dict[str, Any]:
    ways: dict[str, Callable[[], object]] = {
        LIMIT: lambda: decode_once(path, table, folder),
        HALF: lambda: decode_once(path, table, folder, 2),
        "gigakit": lambda: drop_all(JpegTiffReader(path, index_folder=folder), table),
        "gigakit area": lambda: drop_all(
            JpegTiffReader(path, index_folder=folder, scaled_decode=False), table
        ),
        "openslide": lambda: drop_all(OpenSlideReader(path), table),
        BASELINE: lambda: read_with_pillow(path, table),
    }
    if table.attrs["resampling"] != "dct":
        del ways[HALF], ways["gigakit area"]
    times = in_turns(ways, turns=turns)
    exact = read_all(OpenSlideReader(path), table)
    found = read_all(JpegTiffReader(path, index_folder=folder), table)
    averaged = read_all(JpegTiffReader(path, index_folder=folder, scaled_decode=False), table)
    identical = all(np.array_equal(a, b) for a, b in zip(averaged, exact, strict=True))
    same = all(np.array_equal(a, b) for a, b in zip(found, exact, strict=True))
    return {
        "tiles": len(table),
        "times": times,
        "identical": identical,
        "psnr": None if same else psnr(found, exact),
    }


def measure_random(path: Path, table: TileTable, folder: Path, visit: int, turns: int) -> Times:
    """Read tiles at places on and between the grid, ``visit`` neighbours at a time."""

    def stream() -> None:
        generator = np.random.default_rng(0)
        with JpegTiffReader(path, index_folder=folder) as slide:
            choice, side = table.choice(slide), np.array(table.footprint)
            for _ in range(len(table) // visit):
                begin = int(generator.integers(len(table) - visit + 1))
                shift = generator.integers(-64, 65, 2) * 4
                for at in range(begin, begin + visit):
                    x, y = (table.grid[at] * side + shift).tolist()
                    read_window(slide, choice, x, y, 256, 256)

    return in_turns({"stream": stream}, turns=turns)["stream"]


def measure_slide(
    kind: str, path: Path, given: argparse.Namespace, folder: Path, target_mpp: float = 0.5
) -> dict[str, Any]:
    settings = replace(SETTINGS, tiler={"type": "GridTiler", "target_mpp": target_mpp})

    def tile() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            TileSlides(settings, Path(out) / "tiles" / "grid").work(SlideRow(path.stem, path))

    _, tiling_peak = once(tile)
    tiling = in_turns({"tile": tile}, turns=given.turns)["tile"]
    out = folder / f"{kind}-{target_mpp}" / "tiles" / "grid"
    TileSlides(settings, out).work(SlideRow(path.stem, path))
    table = first(TileTable.load(out / f"{path.stem}.h5"), given.tiles)
    opening = in_turns(
        {
            "first": lambda: JpegTiffReader(path).close(),
            "indexed": lambda: JpegTiffReader(path, index_folder=folder).close(),
        },
        turns=given.turns,
    )
    result = measure_tiles(path, table, folder, given.turns)
    _, peak = once(lambda: drop_all(JpegTiffReader(path, index_folder=folder), table))
    return {
        "slide": f"{kind}, {target_mpp} µm/px",
        "bytes": path.stat().st_size,
        **result,
        "random": {visit: measure_random(path, table, folder, visit, 1) for visit in (1, 8)},
        "tiling": tiling,
        "tiling_peak_mib": tiling_peak,
        "reading_peak_mib": peak,
        "opening": opening,
    }


def measure_thumbnail(path: Path, folder: Path, *, by_openslide: bool) -> dict[str, Any]:
    with JpegTiffReader(path, index_folder=folder) as slide:
        target = (slide.mpp or (0.5, 0.5))[0] * max(slide.level_dimensions[0]) / 1280
        ours, ours_peak = once(lambda: read_reduced(slide, target))
    found: dict[str, Any] = {"gigakit": (ours, ours_peak)}
    with OpenSlideReader(path) as other:
        found["openslide, strips"] = once(lambda: read_reduced(other, target))
    if by_openslide:
        with openslide.OpenSlide(path) as plain:
            found["get_thumbnail"] = once(lambda: plain.get_thumbnail((1280, 1280)))
    return found


def report(results: list[dict[str, Any]], thumbnail: dict[str, Any]) -> str:
    lines = [
        "| slide | tiles | way | tiles a CPU s | of the limit | times openslide/PIL | PSNR, dB |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        times = result["times"]
        for way, taken in times.items():
            quality = result["psnr"] if way == "gigakit" else None
            lines.append(
                f"| {result['slide']} | {result['tiles']} | {way} | "
                f"{result['tiles'] / taken.cpu:,.0f} | {times[LIMIT].cpu / taken.cpu:.2f} | "
                f"{times[BASELINE].cpu / taken.cpu:.1f} | "
                f"{'' if quality is None else f'{quality:.1f}'} |"
            )
    lines += [
        "",
        "| slide | MB | full-size pixels | random tiles a CPU s, 1 and 8 a visit | tiling, CPU s "
        "(peak MiB) | reading, peak MiB | opening, ms: first, indexed |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        rates = [result["tiles"] // visit * visit / t.cpu for visit, t in result["random"].items()]
        opening = result["opening"]
        lines.append(
            f"| {result['slide']} | {result['bytes'] / 1e6:.0f} | "
            f"{'OpenSlide’s' if result['identical'] else 'differ'} | "
            f"{rates[0]:,.0f}, {rates[1]:,.0f} | {result['tiling'].cpu:.2f} "
            f"({result['tiling_peak_mib']:.0f}) | {result['reading_peak_mib']:.0f} | "
            f"{opening['first'].cpu * 1e3:.1f}, {opening['indexed'].cpu * 1e3:.2f} |"
        )
    lines += ["", "| single-level thumbnail by | CPU s | peak MiB |", "| --- | ---: | ---: |"]
    lines += [
        f"| {way} | {taken.cpu:.2f} | {peak:.0f} |" for way, (taken, peak) in thumbnail.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the slides are built, once")
    parser.add_argument("--side", type=int, default=40960)
    parser.add_argument("--tiles", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--thumbnail-by-openslide", action="store_true", help="3 GB of memory")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    paths = {kind: build(given.folder, kind, given.side) for kind in KINDS}
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        results = [measure_slide(kind, path, given, folder) for kind, path in paths.items()]
        results.append(measure_slide("steps4", paths["steps4"], given, folder, 0.25))
        thumbnail = measure_thumbnail(
            paths["single"], folder, by_openslide=given.thumbnail_by_openslide
        )
    print(report(results, thumbnail))
    if given.json:
        given.json.write_text(json.dumps({"slides": results, "thumbnail": thumbnail}, indent=1))


if __name__ == "__main__":
    main()
