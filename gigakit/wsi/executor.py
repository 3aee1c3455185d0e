"""What runs the work on a cohort's slides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence

from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.work import SlideResult

Work = Callable[[SlideRow], SlideResult]


class Executor(ABC):
    """Runs one function on every slide, somewhere."""

    def select(self, rows: Sequence[SlideRow]) -> Sequence[SlideRow]:
        """Return the slides that this run is to work on."""
        return rows

    @property
    def part(self) -> str:
        """What tells this run's status file from those of others, such as ``3-of-10``."""
        return ""

    @abstractmethod
    def run(self, work: Work, rows: Sequence[SlideRow]) -> Generator[SlideResult]:
        """Yield each slide's result as it comes, in any order.

        Args:
            work: a picklable function that answers for a slide, and raises only what concerns the
                whole cohort.
            rows: the slides.
        """
