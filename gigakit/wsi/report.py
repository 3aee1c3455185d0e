"""The page of a cohort: every slide's picture, tiles, state; self-contained."""

from __future__ import annotations

import base64
import collections
import html
import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gigakit import __version__
from gigakit.core.errors import StoreError
from gigakit.core.files import write_text
from gigakit.wsi.status import read_status
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.work import SlideResult

PAGE = "report.html"
_TEMPLATE = Path(__file__).with_name("report.html")
_THUMBNAIL_PX = 112
_THUMBNAIL_QUALITY = 70
_UM2_PER_MM2 = 1e6
# a name with "</script>" must not end the data
_ESCAPED = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&"})
_STATES = {"done": "done", "skipped": "done", "empty": "empty", "failed": "failed"}


@dataclass(frozen=True)
class Report:
    """A written page.

    Args:
        path: the page.
        slides: slides it lists.
        pictures: how many of them have a picture.
    """

    path: Path
    slides: int
    pictures: int


def write_report(folder: Path, *, title: str = "", most_pictures: int = 5000) -> Report:
    """Write ``report.html`` into a folder of tiles: one file that opens without a network.

    It lists each slide with its overview picture, tiles, tissue, resolution, qualities, and what
    failed and why; it can be sorted and filtered. Features made from these tiles are told beside.

    Args:
        folder: ``STORES/tiles/<settings>``.
        title: of the page; default the folder's.
        most_pictures: how many slides get a picture, failed ones aside.

    Raises:
        StoreError: it is no such folder.
    """
    slides = read_status(folder)
    features = _features_of(folder)
    rows, pictures = [], 0
    for slide in slides:
        row = _row(folder, slide, features)
        if pictures < most_pictures:
            row["picture"] = _thumbnail(
                folder / "overview" / f"{slide.slide_id}.jpg", row.pop("overview", None)
            )
            pictures += bool(row["picture"])
        row.pop("overview", None)
        rows.append(row)
    title = title or f"{folder.absolute().parents[1].name}: {folder.name}"
    text = string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        version=html.escape(__version__),
        settings=html.escape(_settings(folder)),
        cards=_cards(rows),
        histogram=_histogram([row["tiles"] for row in rows if row["state"] == "done"]),
        reasons=_reasons(rows),
        data=json.dumps(rows, separators=(",", ":")).translate(_ESCAPED),
    )
    write_text(folder / PAGE, text)
    return Report(folder / PAGE, len(rows), pictures)


def _row(folder: Path, slide: SlideResult, features: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": slide.slide_id,
        "state": _STATES.get(slide.state, slide.state),
        "tiles": slide.tiles,
        "seconds": round(slide.seconds, 2),
        "reason": slide.reason,
        "features": features.get(slide.slide_id, ""),
    }
    try:
        table = TileTable.load(folder / f"{slide.slide_id}.h5")
    except StoreError:
        # a slide that failed has none
        return row
    return row | _facts(table)


def _facts(table: TileTable) -> dict[str, Any]:
    width, height = table.attrs.get("slide_size", (0, 0))
    mpp = table.attrs.get("effective_mpp", (table.target_mpp,) * 2)
    tile_um2 = table.tile_size_px**2 * mpp[0] * mpp[1]
    facts: dict[str, Any] = {
        "size": f"{width} × {height}",
        "mm2": round(float(table.occupancy.sum()) * tile_um2 / _UM2_PER_MM2, 2),
        "mpp": round(float(np.mean(mpp)), 4),
        "read": _reading(table),
        "overview": table.attrs.get("overview_size"),
    }
    for name, values in table.columns.items():
        if len(values) and not np.isnan(values).all():
            facts[f"q_{name}"] = round(float(np.nanmean(values)), 3)
    return facts


def _reading(table: TileTable) -> str:
    level, resampling = table.attrs.get("level", "?"), table.attrs.get("resampling", "none")
    return f"level {level}" + (f", {resampling}" if resampling != "none" else "")


def _features_of(folder: Path) -> dict[str, str]:
    """Return what became of each slide where tiles of this folder were embedded."""
    digest = folder.name.rpartition("-")[2]
    told: dict[str, list[str]] = {}
    for settings in sorted(folder.absolute().parents[1].glob("features/*/settings.json")):
        if json.loads(settings.read_text(encoding="utf-8")).get("tiling") != digest:
            continue
        try:
            slides = read_status(settings.parent)
        except StoreError:
            continue
        for slide in slides:
            state = _STATES.get(slide.state, slide.state)
            told.setdefault(slide.slide_id, []).append(f"{settings.parent.name}: {state}")
    return {slide_id: "; ".join(states) for slide_id, states in told.items()}


def _thumbnail(path: Path, size: tuple[int, int] | None) -> str:
    """Return the slide's part of an overview picture, small, as base64 JPEG; empty without one."""
    picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4) if path.is_file() else None
    if picture is None:
        return ""
    if size is not None:
        # below it lies the legend; the picture is read at a quarter of its size
        picture = picture[: max(1, size[1] // 4)]
    scale = _THUMBNAIL_PX / max(picture.shape[:2])
    width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])
    return base64.b64encode(data.tobytes()).decode()


def _settings(folder: Path) -> str:
    path = folder / "settings.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _cards(rows: Sequence[dict[str, Any]]) -> str:
    states = collections.Counter(row["state"] for row in rows)
    cards = [("slides", f"{len(rows):,}", "")]
    cards += [(name, f"{states[name]:,}", name) for name in ("done", "empty", "failed")]
    cards += [
        ("tiles", f"{sum(row['tiles'] for row in rows):,}", ""),
        ("tissue", f"{sum(row.get('mm2', 0) for row in rows):,.1f} mm²", ""),
        ("work", _duration(sum(row["seconds"] for row in rows)), ""),
    ]
    return "".join(
        f'<div class="card {kind}"><b>{value}</b><span>{name}</span></div>'
        for name, value, kind in cards
    )


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _reasons(rows: Sequence[dict[str, Any]]) -> str:
    """Return the causes of failure and how often each came; names of slides are taken off."""
    causes = collections.Counter(
        row["reason"].partition(": ")[2] or row["reason"]
        for row in rows
        if row["state"] in ("failed", "empty")
    )
    return "".join(
        f"<li><b>{count:,}</b> {html.escape(cause)}</li>" for cause, count in causes.most_common(12)
    )


def _histogram(tiles: Sequence[int], bins: int = 24) -> str:
    """Return the numbers of tiles a slide as bars, in SVG."""
    if len(tiles) < 2:  # noqa: PLR2004
        return ""
    counts, edges = np.histogram(tiles, bins=bins)
    bars = []
    for number, count in enumerate(counts.tolist()):
        height = 60 * count / max(1, counts.max())
        told = f"{edges[number]:,.0f} to {edges[number + 1]:,.0f} tiles: {count:,} slides"
        bars.append(
            f'<rect x="{number * 10}" y="{64 - height:.1f}" width="9" height="{height:.1f}">'
            f"<title>{told}</title></rect>"
        )
    last = f'<text x="{bins * 10}" y="77" text-anchor="end">{edges[-1]:,.0f} tiles a slide</text>'
    return (
        f'<svg viewBox="0 0 {bins * 10} 80" role="img" aria-label="tiles a slide">{"".join(bars)}'
        f'<text x="0" y="77">{edges[0]:,.0f}</text>'
        f"{last}</svg>"
    )
