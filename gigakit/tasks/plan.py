"""What a cohort will cost, from a probe of some of its slides."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gigakit.core.errors import ConfigError
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.tasks.inference import Announce
from gigakit.tasks.model_cost import model_cost, model_seconds
from gigakit.tasks.tile_embedding import TileEmbedding
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import tile_cohort

_TILES_READ = 64
_BOOTSTRAPS = 2000
# an untimed model costs more memory and time to build than a plan may
_LARGEST_FLOPS = 100e9


@dataclass(frozen=True)
class Estimate:
    """One quantity of the cohort.

    Args:
        name: what it is.
        unit: ``bytes``, ``FLOP``, ``CPU s``, ``device s``, or none for a count.
        total: of the cohort.
        low: 90 % interval of the total.
        high: its upper end.
        basis: what it rests on.
    """

    name: str
    unit: str
    total: float
    low: float
    high: float
    basis: str


@dataclass(frozen=True)
class Plan:
    """The cost of a cohort.

    Args:
        slides: in the cohort.
        probed: slides that were looked at.
        failed: slide and reason of probed slides that cannot be used.
        estimates: quantities in the order of the work.
    """

    slides: int
    probed: int
    failed: list[str] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)


@dataclass(frozen=True)
class _Probe:
    tiles: int
    tiling_seconds: float
    reading_seconds: float
    stored_bytes: int


def plan_cohort(
    cohort: Cohort,
    task: TileEmbedding,
    *,
    probe: int = 20,
    seed: int = 0,
    sustained_tflops: float = 100.0,
    announce: Announce,
) -> Plan:
    """Probe some slides of a cohort and estimate the cost of all.

    Slides are drawn from strata of equal number by file size, one of each. Each is tiled for real,
    into a folder that is removed, and up to 64 of its tiles are read. Intervals are percentiles of
    a bootstrap over the probed slides, so they tell how much slides differ, not how much machines
    do.

    Args:
        cohort: the slides.
        task: how they are tiled and embedded; its weights are not needed.
        probe: how many slides are looked at.
        seed: draws them.
        sustained_tflops: TFLOP/s that a device is assumed to sustain, for device hours.
        announce: receives lines on the probe.

    Raises:
        ConfigError: none of the probed slides can be used.
    """
    sizes = np.array([_file_bytes(row) for row in cohort.slides])
    chosen = _stratified(sizes, probe, seed)
    probes, failed, sample = [], [], None
    with tempfile.TemporaryDirectory(prefix="gigakit-plan-") as folder:
        for number, index in enumerate(chosen):
            row = cohort.slides[index]
            found, tile, reason = _probe(row, task, Path(folder) / str(number))
            sample = tile if sample is None else sample
            if reason:
                failed.append(reason)
            announce(f"probed {number + 1} of {len(chosen)}: {reason or f'{found.tiles} tiles'}")
            probes.append(found)
    if sample is None:
        raise ConfigError(
            f"none of {len(chosen)} probed slides has tiles: {failed[0] if failed else ''}",
            where=cohort.name,
            fix="mend the cohort, or probe more slides with --probe",
        )
    scale = _Scale(len(cohort.slides), np.random.default_rng(seed))
    estimates = [
        _exact("slide files", "bytes", sizes.sum(), f"{len(sizes):,} files"),
        *_tile_estimates(probes, scale),
        *_model_estimates(probes, scale, task, sample, sustained_tflops),
    ]
    return Plan(len(cohort.slides), len(chosen), failed, estimates)


def _tile_estimates(probes: Sequence[_Probe], scale: _Scale) -> list[Estimate]:
    basis = f"{len(probes)} slides"
    tiles = [probe.tiles for probe in probes]
    return [
        scale.estimate("tiles", "", tiles, basis),
        scale.estimate("tiling", "CPU s", [probe.tiling_seconds for probe in probes], basis),
        scale.estimate(
            "tile files and pictures", "bytes", [probe.stored_bytes for probe in probes], basis
        ),
        scale.estimate(
            "reading tiles",
            "CPU s",
            [probe.tiles * probe.reading_seconds for probe in probes],
            f"up to {_TILES_READ} tiles of each",
        ),
    ]


def _model_estimates(
    probes: Sequence[_Probe],
    scale: _Scale,
    task: TileEmbedding,
    tile: torch.Tensor,
    sustained_tflops: float,
) -> list[Estimate]:
    flops, width = model_cost(task.model, tile)
    tiles = np.array([probe.tiles for probe in probes])
    # features in float16, coordinates and grid
    stored = width * 2 + 2 * 8 + 2 * 8
    estimates = [
        scale.estimate("feature files", "bytes", tiles * stored, f"{width} numbers a tile"),
        scale.estimate("model", "FLOP", tiles * flops, f"{flops / 1e9:.3g} GFLOP a tile"),
        scale.estimate(
            "model, assumed device",
            "device s",
            tiles * flops / (sustained_tflops * 1e12),
            f"{sustained_tflops:g} TFLOP/s sustained, an assumption",
        ),
    ]
    if task.model.device.type == "cpu" and flops > _LARGEST_FLOPS:
        return estimates
    seconds = model_seconds(task.model, tile, flops)
    unit = "CPU s" if task.model.device.type == "cpu" else "device s"
    basis = f"{seconds:.2g} s a tile on {task.model.device}, {task.model.precision}, timed"
    timed = scale.estimate("model, this machine", unit, tiles * seconds, basis)
    return [*estimates, timed]


class _Scale:
    """From numbers of probed slides to the cohort."""

    def __init__(self, slides: int, generator: np.random.Generator) -> None:
        self.slides = slides
        self.generator = generator

    def estimate(
        self, name: str, unit: str, values: Sequence[float] | np.ndarray, basis: str
    ) -> Estimate:
        array = np.asarray(values, dtype=float)
        total = float(array.mean() * self.slides)
        if len(array) >= self.slides:
            return _exact(name, unit, total, basis)
        drawn = self.generator.integers(len(array), size=(_BOOTSTRAPS, len(array)))
        low, high = np.percentile(array[drawn].mean(axis=1) * self.slides, [5, 95]).tolist()
        return Estimate(name, unit, total, low, high, basis)


def _exact(name: str, unit: str, total: float, basis: str) -> Estimate:
    return Estimate(name, unit, float(total), float(total), float(total), basis)


def _file_bytes(row: SlideRow) -> int:
    try:
        return row.path.stat().st_size
    except OSError:
        # told as that slide's failure when it is worked on
        return 0


def _stratified(sizes: np.ndarray, count: int, seed: int) -> list[int]:
    """Return one slide of each of ``count`` strata by size."""
    order = np.argsort(sizes, kind="stable")
    if count >= len(order):
        return [int(index) for index in order]
    generator = np.random.default_rng(seed)
    return [int(generator.choice(stratum)) for stratum in np.array_split(order, count)]


def _probe(
    row: SlideRow, task: TileEmbedding, folder: Path
) -> tuple[_Probe, torch.Tensor | None, str]:
    """Return a slide's cost, one of its tiles, and why it cannot be used."""
    begin = time.process_time()
    result = tile_cohort(Cohort("probe", (row,)), task.tiling, folder, announce=lambda _: None)
    tiling = time.process_time() - begin
    (slide,) = result.slides
    if not slide.tiles:
        return _Probe(0, tiling, 0.0, 0), None, slide.reason
    stored = sum(path.stat().st_size for path in result.folder.rglob("*") if path.is_file())
    table = TileTable.load(result.folder / f"{row.slide_id}.h5")
    pixels = SlideTiles(
        path=row.path,
        table=table,
        transform=task.model.transform,
        reader=task.tiling.reader,
        mpp=row.mpp,
        index_folder=folder / "index",
    )
    # a run of neighbours in the middle, as embedding reads them
    first = max(0, (len(table) - _TILES_READ) // 2)
    run = range(first, min(len(table), first + _TILES_READ))
    begin = time.process_time()
    for index in run:
        tile, _ = pixels[index]
    reading = (time.process_time() - begin) / len(run)
    return _Probe(slide.tiles, tiling, reading, stored), tile, ""
