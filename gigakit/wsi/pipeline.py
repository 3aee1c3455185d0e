"""Work on a cohort: one idempotent function per slide, and a status row for each."""

from __future__ import annotations

import collections
import csv
import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gigakit.core.errors import GigakitError, NoTissueError, SlideError, StoreError
from gigakit.core.files import write_text
from gigakit.wsi.cohort import Cohort, SlideRow

LOGGER = logging.getLogger(__name__)

STATES = ("done", "skipped", "empty", "failed")
Announce = Callable[[str], None]


@dataclass(frozen=True)
class SlideResult:
    """What became of one slide.

    Args:
        slide_id: the slide.
        state: ``done``, ``skipped`` (done before), ``empty`` (no tissue) or ``failed``.
        tiles: kept tiles.
        seconds: wall time.
        reason: why it is empty or failed.
    """

    slide_id: str
    state: str
    tiles: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class CohortResult:
    """What became of a cohort.

    Args:
        folder: where the files are.
        slides: one entry a slide, in the cohort's order.
    """

    folder: Path
    slides: list[SlideResult] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Slides by state."""
        counted = collections.Counter(slide.state for slide in self.slides)
        return {state: counted[state] for state in STATES}

    @property
    def tiles(self) -> int:
        """Kept tiles of all slides."""
        return sum(slide.tiles for slide in self.slides)


def store_root(cohort: Cohort, out: Path | None) -> Path:
    """Return where a cohort's stores are: the user's choice, or ``work_dirs/stores/<cohort>``."""
    return out or Path("work_dirs") / "stores" / cohort.name


def run_cohort(
    cohort: Cohort,
    folder: Path,
    process: Callable[[SlideRow], SlideResult],
    *,
    announce: Announce = LOGGER.info,
) -> CohortResult:
    """Apply an idempotent function to each slide; a slide's error stays that slide's.

    Args:
        cohort: the slides.
        folder: where ``status.csv`` goes.
        process: works on one slide.
        announce: receives a line for each slide that was worked on.
    """
    result = CohortResult(folder)
    try:
        for row in cohort.slides:
            result.slides.append(_attempt(row, process))
            if result.slides[-1].state != "skipped":
                announce(_line(result.slides[-1]))
    finally:
        # whatever ends the run, the rows of finished slides are kept
        _write_status(result)
    return result


def _attempt(row: SlideRow, process: Callable[[SlideRow], SlideResult]) -> SlideResult:
    begin = time.perf_counter()
    try:
        slide = process(row)
    except NoTissueError as error:
        slide = SlideResult(row.slide_id, "empty", reason=str(error))
    except (SlideError, StoreError, OSError, MemoryError) as error:
        slide = SlideResult(row.slide_id, "failed", reason=str(error) or type(error).__name__)
    return replace(slide, seconds=time.perf_counter() - begin)


def _line(slide: SlideResult) -> str:
    return f"{slide.slide_id}: {slide.reason or f'{slide.tiles} tiles'} ({slide.seconds:.1f} s)"


def isolated(
    process: Callable[[SlideRow], SlideResult], done: str
) -> Callable[[SlideRow], SlideResult]:
    """Return a function on one slide that turns what no one foresaw into that slide's own error.

    Args:
        process: works on one slide.
        done: what it does to it, such as ``tiled``.
    """

    def attempt(row: SlideRow) -> SlideResult:
        try:
            return process(row)
        except GigakitError as error:
            raise _without_traceback(error) from error
        except (OSError, MemoryError):
            raise
        except Exception as error:
            LOGGER.debug("%s", row.path, exc_info=True)
            # some libraries' messages have several lines
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise SlideError(f"cannot be {done}: {cause}", where=row.path) from error

    return attempt


def _without_traceback(error: GigakitError) -> GigakitError:
    """Return an error that torch brought from a worker process as it was raised there."""
    lines = error.what.strip().splitlines()
    if len(lines) == 1:
        return error
    return type(error)(lines[-1].partition(": ")[2] or lines[-1])


def _write_status(result: CohortResult) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["slide_id", "state", "tiles", "seconds", "reason"])
    for slide in result.slides:
        writer.writerow(
            [slide.slide_id, slide.state, slide.tiles, f"{slide.seconds:.3f}", slide.reason]
        )
    write_text(result.folder / "status.csv", text.getvalue())
