"""What became of a cohort's slides, read back from its status files."""

from __future__ import annotations

import csv
from pathlib import Path

from gigakit.core.errors import StoreError
from gigakit.wsi.work import SlideResult


def status_files(folder: Path) -> list[Path]:
    """Return the status files of a folder: a run's, and those of the parts of job arrays."""
    return sorted(folder.glob("status*.csv"), key=lambda path: path.stat().st_mtime_ns)


def read_status(folder: Path) -> list[SlideResult]:
    """Return the state of each slide, once, as the newest file tells it.

    A slide that was skipped since it was done before counts as done.

    Args:
        folder: of tiles or features.

    Raises:
        StoreError: there is no status file, or one is damaged.
    """
    files = status_files(folder)
    if not files:
        raise StoreError(
            "holds no status.csv",
            where=folder,
            fix="name a folder that gigakit tile or gigakit embed wrote, such as STORES/tiles/*",
        )
    slides: dict[str, SlideResult] = {}
    for file in files:
        for slide in _rows(file):
            known = slides.get(slide.slide_id)
            if slide.state == "skipped" and known is not None and known.state == "done":
                continue
            slides[slide.slide_id] = slide
    return list(slides.values())


def _rows(file: Path) -> list[SlideResult]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return [
                SlideResult(
                    slide_id=row["slide_id"],
                    state=row["state"],
                    tiles=int(row["tiles"]),
                    seconds=float(row["seconds"]),
                    reason=row["reason"],
                )
                for row in csv.DictReader(stream)
            ]
    except (KeyError, ValueError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise StoreError(
            f"is damaged: {error}", where=file, fix="remove it and run the command again"
        ) from error
