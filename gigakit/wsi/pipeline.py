"""Work on a cohort: every slide once, a status row for each."""

from __future__ import annotations

import collections
import contextlib
import csv
import io
import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gigakit.core.files import remove_abandoned, write_text
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.executor import Executor
from gigakit.wsi.executors.local_executor import LocalExecutor
from gigakit.wsi.leases import Lease
from gigakit.wsi.work import LEASES, Attempt, SlideResult, SlideWork

LOGGER = logging.getLogger(__name__)

STATES = ("done", "skipped", "empty", "failed")
COLUMNS = ("slide_id", "state", "tiles", "seconds", "reason")
Announce = Callable[[str], None]
_ELSEWHERE_SECONDS = 2.0


@dataclass(frozen=True)
class CohortResult:
    """What became of a cohort.

    Args:
        folder: where the files are.
        slides: one entry a slide, in the cohort's order.
        status: the file that lists them.
    """

    folder: Path
    slides: list[SlideResult] = field(default_factory=list)
    status: Path = Path()

    @property
    def counts(self) -> dict[str, int]:
        """Slides by state."""
        counted = collections.Counter(slide.state for slide in self.slides)
        return {state: counted[state] for state in STATES}

    @property
    def speed(self) -> str:
        """Tiles a second of the slides that were worked on, and what the model waited."""
        worked = [slide for slide in self.slides if slide.state == "done"]
        seconds = sum(slide.seconds for slide in worked)
        if not seconds:
            return ""
        rate = sum(slide.tiles for slide in worked) / seconds
        share = sum(slide.waited for slide in worked) / seconds
        return f"{rate:.3g} tiles a second a process, of which {share:.0%} waiting for pixels"

    @property
    def tiles(self) -> int:
        """Kept tiles of all slides."""
        return sum(slide.tiles for slide in self.slides)


def store_root(cohort: Cohort, out: Path | None) -> Path:
    """Return where a cohort's stores are: the user's choice, or ``work_dirs/stores/<cohort>``."""
    return out or Path("work_dirs") / "stores" / cohort.name


def run_cohort(
    cohort: Cohort,
    work: SlideWork,
    *,
    executor: Executor | None = None,
    announce: Announce = LOGGER.info,
) -> CohortResult:
    """Work on each slide; a slide's error stays that slide's.

    Slides that another run works on come last: when it is done with them, or gone.

    Args:
        cohort: the slides.
        work: what is done to each; ``status.csv`` goes to its folder.
        executor: where; this process by default.
        announce: receives a line for each slide that was worked on.

    Raises:
        StorageFullError: the disk is full; what is finished stays.
    """
    executor = executor or LocalExecutor()
    rows = executor.select(cohort.slides)
    name = f"status-{executor.part}.csv" if executor.part else "status.csv"
    remove_abandoned(work.folder)
    results: dict[str, SlideResult] = {}
    begin, worked = time.perf_counter(), 0
    try:
        with (
            _Journal(work.folder / f".{name}.journal") as journal,
            contextlib.closing(_all_results(executor, Attempt(work), rows, announce)) as slides,
        ):
            for slide in slides:
                results[slide.slide_id] = slide
                if slide.state != "skipped":
                    journal.add(slide)
                    worked += 1
                    pace = (time.perf_counter() - begin) / worked
                    announce(_line(slide, len(results), len(rows), pace))
    finally:
        # whatever ends the run, the rows of finished slides are kept
        found = [results[row.slide_id] for row in rows if row.slide_id in results]
        result = CohortResult(work.folder, found, work.folder / name)
        write_text(result.status, _table(found))
        journal.path.unlink(missing_ok=True)
        _remove_leases(work.folder / LEASES)
    return result


def _all_results(
    executor: Executor, work: Attempt, rows: Sequence[SlideRow], announce: Announce
) -> Generator[SlideResult]:
    while rows:
        elsewhere = {}
        # closed at once on an error, so that no process outlives the run
        with contextlib.closing(executor.run(work, rows)) as slides:
            for slide in slides:
                if slide.state == "elsewhere":
                    elsewhere[slide.slide_id] = slide
                else:
                    yield slide
        if elsewhere and len(elsewhere) < len(rows):
            who = sorted({slide.reason for slide in elsewhere.values()})
            announce(f"waits for {len(elsewhere)} slides that {', '.join(who)} is working on")
        rows = [row for row in rows if row.slide_id in elsewhere]
        if rows:
            time.sleep(_ELSEWHERE_SECONDS)


def _remove_leases(folder: Path) -> None:
    """Remove what killed processes left; a lease that another run holds stays."""
    for path in folder.glob("*"):
        with Lease(path):
            pass
    with contextlib.suppress(OSError):
        folder.rmdir()


def _line(slide: SlideResult, count: int, total: int, pace: float) -> str:
    left = _duration(pace * (total - count))
    place = f"; {count} of {total}, {left} left" if total > 1 else ""
    what = slide.reason or f"{slide.tiles} tiles"
    return f"{slide.slide_id}: {what} ({slide.seconds:.1f} s{place})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class _Journal:
    """The rows of a run as they come, for eyes that look while it runs or after it was killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> _Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.path.open("w", encoding="utf-8", newline="", buffering=1)
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def add(self, slide: SlideResult) -> None:
        self._writer.writerow(_row(slide))


def _row(slide: SlideResult) -> list[str | int]:
    return [slide.slide_id, slide.state, slide.tiles, f"{slide.seconds:.3f}", slide.reason]


def _table(slides: Sequence[SlideResult]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_row(slide) for slide in slides)
    return text.getvalue()
