"""Positions in tiles from the coordinates of feature files made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import StoreError

# what is nearer together is no lattice of tiles
_SMALLEST_STRIDE_PX = 16.0
# px by which rounding moves a coordinate off its lattice, at most
_ROUNDING_PX = 1.0
# a tile's side is told in whole px, and levels are read within 2 % of the resolution wanted
_SAME = 0.02
# strides that tilers use are such fractions of a tile's side
_LARGEST_DENOMINATOR = 16
# from so many tiles on, some must be neighbours
_ENOUGH_TILES = 16
_APART = 1.5


def foreign_grid(
    coords: np.ndarray, told: Mapping[str, Any], *, step: float | None, where: Path
) -> np.ndarray:
    """Return positions in tiles of coordinates made elsewhere.

    Args:
        coords: ``(N, 2)``.
        told: what the file says of them.
        step: side of a tile in the unit of the coordinates; wins over what the file says.
        where: the file.

    Raises:
        StoreError: there is no step, or the coordinates contradict it.
    """
    if step is not None:
        return fit_grid(coords, step, where=where)
    step = _told_step(told)
    if step is None or not step > 0:
        stride = stride_of(coords)
        seen = f"; they lie {stride:g} px apart" if stride else ""
        raise StoreError(
            "tells neither 'grid' nor the side of a tile in the unit of its coordinates "
            f"('patch_size_level0'){seen}",
            where=where,
            fix=f"if its tiles do not overlap: --step {stride:g}" if stride else "give --step",
        )
    _check_touching(coords, step, where)
    size, overlap = told.get("patch_size"), told.get("overlap")
    fraction = None if size is None or overlap is None else float(overlap) / float(size)
    return fit_grid(coords, step, overlap=fraction, where=where)


def _told_step(told: Mapping[str, Any]) -> float | None:
    if "patch_size_level0" in told:
        return float(told["patch_size_level0"])
    if "patch_size" in told and "downsample" in told:
        return float(told["patch_size"]) * float(np.ravel(told["downsample"])[0])
    return None


def fit_grid(
    coords: np.ndarray, step: float, *, overlap: float | None = None, where: Path | None = None
) -> np.ndarray:
    """Return positions in tiles, ``coords / step``, free of the rounding of coordinates and step.

    Along an axis whose coordinates lie on one lattice, its stride is fitted to the coordinates:
    the k-th line is at k strides exactly, so that no two lines fall into one cell and none is
    skipped. Coordinates of several lattices (one per piece of tissue) are divided by the step.

    Args:
        coords: ``(N, 2)`` top-left corners.
        step: side of a tile in the unit of the coordinates.
        overlap: fraction of a tile that it shares with its neighbour, if the file tells it; the
            stride of the coordinates is then checked.
        where: the file, for errors.

    Raises:
        StoreError: coordinates and step are not of one unit: tiles overlap otherwise than told.
    """
    lines = [_fit_line(coords[:, axis].astype(np.float64)) for axis in (0, 1)]
    strides = [line[0] for line in lines if line is not None]
    if overlap is not None and len(strides) == 2 and len(coords) >= _ENOUGH_TILES:  # noqa: PLR2004
        _check_strides(min(strides), step, overlap, where)
    grid = np.empty((len(coords), 2))
    for axis, line in enumerate(lines):
        grid[:, axis] = coords[:, axis] / step if line is None else _positions(*line, step)
    return grid


def _check_touching(coords: np.ndarray, step: float, where: Path | None = None) -> None:
    """Refuse coordinates of many tiles none of which touches another.

    That is how level-0 coordinates look when their step is taken to be that of the target
    resolution.

    Raises:
        StoreError: the stride is one and a half tiles or more on both axes.
    """
    stride = stride_of(coords)
    if stride is not None and len(coords) >= _ENOUGH_TILES and stride >= _APART * step:
        raise StoreError(
            f"tells tiles of {step:g} px, but they lie {stride:g} px apart: coordinates and size "
            "are of different resolutions",
            where=where,
            fix=f"give the side of a tile in the unit of its coordinates (--step {stride:g})",
        )


def stride_of(coords: np.ndarray) -> float | None:
    """Return the smaller stride of the lattices that coordinates lie on, if they do on both axes.

    Args:
        coords: ``(N, 2)``.
    """
    lines = [_fit_line(coords[:, axis].astype(np.float64)) for axis in (0, 1)]
    if any(line is None for line in lines):
        return None
    return min(round(line[0], 3) for line in lines if line is not None)


def _fit_line(values: np.ndarray) -> tuple[float, float, np.ndarray] | None:
    """Return stride, origin and each value's index on one lattice, or ``None`` if there is none."""
    lines, inverse = np.unique(values, return_inverse=True)
    gaps = np.diff(lines)
    apart = gaps[gaps > 2 * _ROUNDING_PX]
    if not len(apart) or apart.min() < _SMALLEST_STRIDE_PX:
        return None
    # the mean of the single strides, since each is rounded
    base = apart[apart < _APART * apart.min()].mean()
    index = np.concatenate([[0.0], np.cumsum(np.rint(gaps / base))])
    design = np.stack([index, np.ones_like(index)], axis=1)
    (stride, origin), *_ = np.linalg.lstsq(design, lines, rcond=None)
    if np.abs(lines - (origin + stride * index)).max() > _ROUNDING_PX:
        return None
    return float(stride), float(origin), index[inverse.reshape(-1)]


def _positions(stride: float, origin: float, index: np.ndarray, step: float) -> np.ndarray:
    per_tile = Fraction(stride / step).limit_denominator(_LARGEST_DENOMINATOR)
    if per_tile and abs(stride / step / per_tile - 1) <= _SAME:
        # the step as told is rounded; the stride was fitted over the whole slide
        step = stride / float(per_tile)
        stride = step * float(per_tile)
        first = origin / stride
        if abs(first - round(first)) * stride <= _ROUNDING_PX:
            first = round(first)
        on_lattice: np.ndarray = (index + first) * float(per_tile)
        return on_lattice
    positions: np.ndarray = (index * stride + origin) / step
    return positions


def _check_strides(stride: float, step: float, overlap: float, where: Path | None) -> None:
    wanted = step * (1.0 - overlap)
    tiles = max(1, round(stride / wanted)) if wanted > 0 else 1
    if abs(stride / tiles - wanted) > _SAME * wanted + _ROUNDING_PX:
        raise StoreError(
            f"tells tiles of {step:g} px that overlap by {overlap:.0%}, but its coordinates lie "
            f"{stride:g} px apart: they are not of one resolution",
            where=where,
            fix="give the side of a tile in the unit of its coordinates (--step)",
        )
