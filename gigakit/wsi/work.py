"""The work on one slide: idempotent, picklable, and never another slide's trouble."""

from __future__ import annotations

import errno
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from gigakit.core.errors import (
    GigakitError,
    NoTissueError,
    SlideError,
    StorageFullError,
    StoreError,
)
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.leases import Lease

LOGGER = logging.getLogger(__name__)

# what trying again can mend: file servers that were away for a moment
_PASSING = frozenset(
    (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ECONNRESET,
     errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EMFILE, errno.ENFILE)
)  # fmt: skip
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_PAUSES_SECONDS = (1.0, 5.0)
LEASES = ".leases"


@dataclass(frozen=True)
class SlideResult:
    """What became of one slide.

    Args:
        slide_id: the slide.
        state: ``done``, ``skipped`` (done before), ``empty`` (no tissue) or ``failed``; for a
            moment ``elsewhere`` (another run works on it).
        tiles: kept tiles.
        seconds: wall time.
        reason: why it is empty or failed.
        waited: seconds of these that its model waited for pixels.
    """

    slide_id: str
    state: str
    tiles: int = 0
    seconds: float = 0.0
    reason: str = ""
    waited: float = 0.0


class SlideWork(ABC):
    """What is done to each slide of a cohort; instances travel to worker processes.

    Attributes:
        folder: where its files go.
        done: what it does, such as ``tiled``, for messages.
    """

    folder: Path
    done: str

    def for_worker(self, number: int) -> SlideWork:  # noqa: ARG002 - most work alike everywhere
        """Return the work as the process of this number does it, from 0; the same by default."""
        return self

    @abstractmethod
    def finished(self, row: SlideRow) -> SlideResult | None:
        """Return the result of a slide that was finished before; ``None`` if there is work.

        Raises:
            NoTissueError: it was, and it holds no tissue.
        """

    @abstractmethod
    def work(self, row: SlideRow) -> SlideResult:
        """Work on one slide.

        Raises:
            NoTissueError: it holds no tissue.
            SlideError: it cannot be used.
        """


@dataclass(frozen=True)
class Attempt:
    """Work on one slide, whose errors become its result; what executors run.

    Errors that may pass are tried again twice. A slide that another run works on is left to it.

    Args:
        task: the work.
    """

    task: SlideWork

    def for_worker(self, number: int) -> Attempt:
        """Return the attempt as the process of this number makes it."""
        return Attempt(self.task.for_worker(number))

    def __call__(self, row: SlideRow) -> SlideResult:
        """Return what became of a slide.

        Raises:
            StorageFullError: the disk is full, which is no slide's fault.
            ConfigError: a setting cannot be used, which is every slide's trouble.
        """
        begin = time.perf_counter()
        try:
            slide = self.task.finished(row) or self._leased(row)
        except NoTissueError as error:
            slide = SlideResult(row.slide_id, "empty", reason=str(error))
        except (SlideError, StoreError, OSError, MemoryError) as error:
            slide = SlideResult(row.slide_id, "failed", reason=str(error) or type(error).__name__)
        return replace(slide, seconds=time.perf_counter() - begin)

    def _leased(self, row: SlideRow) -> SlideResult:
        with Lease(self.task.folder / LEASES / row.slide_id) as lease:
            if not lease.held:
                return SlideResult(row.slide_id, "elsewhere", reason=lease.holder)
            # another run may have finished it before the lease was had
            return self.task.finished(row) or self._patiently(row)

    def _patiently(self, row: SlideRow) -> SlideResult:
        for pause in _PAUSES_SECONDS:
            try:
                return self._isolated(row)
            except (SlideError, StoreError, OSError) as error:
                if not _causes(error) & _PASSING:
                    raise
                LOGGER.info("%s; tried again in %g s", error, pause)
                time.sleep(pause)
        return self._isolated(row)

    def _isolated(self, row: SlideRow) -> SlideResult:
        try:
            return self.task.work(row)
        except GigakitError as error:
            shortened = _without_traceback(error)
            if shortened is error:
                raise
            raise shortened from error
        except MemoryError:
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFullError(
                    f"no space is left: {error.strerror}",
                    where=error.filename or self.task.folder,
                    fix="make room and run the same command again; what is finished stays",
                ) from error
            raise
        except Exception as error:
            LOGGER.debug("%s", row.path, exc_info=True)
            # some libraries' messages have several lines
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise SlideError(f"cannot be {self.task.done}: {cause}", where=row.path) from error


def _causes(error: BaseException | None) -> set[int]:
    """Return the system's error numbers in a chain of errors."""
    numbers = set()
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            numbers.add(error.errno)
        error = error.__cause__
    return numbers


def _without_traceback(error: GigakitError) -> GigakitError:
    """Return an error that torch brought from a worker process as it was raised there."""
    lines = error.what.strip().splitlines()
    if len(lines) == 1:
        return error
    return type(error)(lines[-1].partition(": ")[2] or lines[-1])
