"""This machine: in this process, or in a pool of others."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from gigakit.core.errors import ConfigError
from gigakit.registry import EXECUTORS
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.executor import Executor, Work
from gigakit.wsi.work import SlideResult
from gigakit.wsi.worker_pool import WorkerPool


@EXECUTORS.register_module()
class LocalExecutor(Executor):
    """Work on this machine.

    Args:
        workers: processes; 0 works in this one.
        time_limit: seconds a slide may take before its process is ended; needs a process beside
            this one. ``None`` waits.

    Raises:
        ConfigError: a negative number.
    """

    def __init__(self, *, workers: int = 0, time_limit: float | None = None) -> None:
        if workers < 0:
            raise ConfigError(f"got {workers}", where="workers", fix="give 0 or more")
        if time_limit is not None and not time_limit > 0:
            raise ConfigError(f"got {time_limit}", where="time_limit", fix="give seconds")
        # only another process can be ended
        self.workers = max(workers, 1) if time_limit else workers
        self.time_limit = time_limit

    def run(self, work: Work, rows: Sequence[SlideRow]) -> Generator[SlideResult]:
        """Yield each slide's result; see :meth:`Executor.run`."""
        if not self.workers:
            yield from map(work, rows)
            return
        with WorkerPool(work, min(self.workers, len(rows)), self.time_limit) as pool:
            yield from pool.run(rows)
