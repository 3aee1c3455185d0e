"""What runs the work on a cohort's slides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import Protocol

from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.work import SlideResult


class Work(Protocol):
    """A picklable function that answers for a slide."""

    def __call__(self, row: SlideRow, /) -> SlideResult:
        """Return what became of a slide; raise only what concerns the whole cohort."""

    def for_worker(self, number: int) -> Work:
        """Return it as the process of this number does it, from 0."""


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
            work: what is done to a slide.
            rows: the slides.
        """
