"""Tissue and tiles as GeoJSON, which QuPath opens as annotations and tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gigakit.core.files import write_text
from gigakit.wsi.stores import open_store
from gigakit.wsi.tiles import MASK, TileTable

_TISSUE = [0, 140, 70]
_TILE = [30, 90, 200]
_SIMPLIFIED_PX = 0.5


def write_geojson(tiles: Path, out: Path) -> int:
    """Write a tiled slide's tissue and tiles; return the number of objects.

    QuPath opens it by dragging it on the slide's image. Places are in level-0 px of what viewers
    show: slides that state the bounds of what was scanned (MIRAX) are shown from there on. Tissue
    is one annotation a piece, whose outline runs through the centres of the mask's outermost px;
    tiles carry their occupancy and qualities as measurements.

    Args:
        tiles: the slide's tile file.
        out: the file written.

    Raises:
        StoreError: the tile file is missing or damaged.
    """
    table = TileTable.load(tiles)
    origin = _origin(table)
    features = [*_tissue(tiles, table, origin), *_tiles(table, origin)]
    write_text(out, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")
    return len(features)


def write_measured_tiles(table: TileTable, out: Path) -> None:
    """Write tiles alone, with occupancy and columns of the table as measurements.

    QuPath colours them by "Measure > Show measurement maps".

    Args:
        table: the tiles.
        out: the file written.
    """
    features = _tiles(table, _origin(table))
    write_text(out, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def _origin(table: TileTable) -> np.ndarray:
    return np.array(table.attrs.get("bounds", (0, 0, 0, 0))[:2], dtype=float)


def _tissue(tiles: Path, table: TileTable, origin: np.ndarray) -> list[dict[str, Any]]:
    with open_store(tiles) as file:
        if MASK not in file:
            return []
        mask = file[MASK][()].astype(np.uint8)
    width, height = table.attrs["slide_size"]
    px = np.array([width / mask.shape[1], height / mask.shape[0]])
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    pieces: dict[int, list[list[list[float]]]] = {}
    for number, contour in enumerate(contours):
        outside = int(tree[0][number][3])
        ring = _ring(contour, px, origin, hole=outside >= 0)
        if outside < 0:
            pieces[number] = [ring, *pieces.get(number, [])]
        elif ring:
            pieces.setdefault(outside, []).append(ring)
    colour = {"name": "Tissue", "color": _TISSUE}
    return [_feature("annotation", rings, colour) for rings in pieces.values()]


def _ring(
    contour: np.ndarray, px: np.ndarray, origin: np.ndarray, *, hole: bool
) -> list[list[float]]:
    """Return a closed ring; a piece too small for an outline has its px's box, a hole none."""
    outline = cv2.approxPolyDP(contour, _SIMPLIFIED_PX, closed=True).reshape(-1, 2)
    points = (outline + 0.5) * px - origin
    if len(outline) < 3:  # noqa: PLR2004
        if hole:
            return []
        (left, top), (right, bottom) = contour.min(axis=(0, 1)), contour.max(axis=(0, 1)) + 1
        box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        points = box * px - origin
    return [*points.round(1).tolist(), points[0].round(1).tolist()]


def _tiles(table: TileTable, origin: np.ndarray) -> list[dict[str, Any]]:
    corners = table.grid * np.array(table.footprint) - origin
    ends = corners + np.array(table.footprint)
    measured = {"occupancy": table.occupancy, **table.columns}
    features = []
    for number, ((left, top), (right, bottom)) in enumerate(
        zip(corners.round(2).tolist(), ends.round(2).tolist(), strict=True)
    ):
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        feature = _feature("tile", [ring], {"name": "Tile", "color": _TILE})
        feature["properties"]["measurements"] = {
            # JSON has no NaN; the attention of one tile in thousands needs its digits
            name: float(f"{values[number]:.6g}")
            for name, values in measured.items()
            if np.isfinite(values[number])
        }
        features.append(feature)
    return features


def _feature(
    kind: str, rings: list[list[list[float]]], classification: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {"objectType": kind, "classification": classification},
    }
