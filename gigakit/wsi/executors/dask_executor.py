"""A dask cluster: on this machine, at an address, or from a job queue."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from gigakit.core.errors import ConfigError, GigakitError
from gigakit.registry import EXECUTORS
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.executor import Executor, Work
from gigakit.wsi.work import SlideResult

_QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
# slides handed out ahead of each worker: enough that none waits, few enough for a million slides
_AHEAD = 4


@EXECUTORS.register_module()
class DaskExecutor(Executor):
    """Work on a dask cluster; needs the extra ``gigakit[cluster]``.

    Only small results pass the scheduler; files are written by the workers, so stores must lie on
    storage that all of them see. A worker that dies costs nothing: its slide goes to another one.

    Args:
        workers: processes of a cluster made for this run, on this machine or by ``queue``.
        scheduler: address of a running scheduler instead.
        queue: ``slurm``, ``pbs``, ``lsf`` or ``sge``: workers are jobs, through dask-jobqueue.
        job: options of such a job, as dask-jobqueue takes them (``cores``, ``memory``,
            ``walltime``, ``queue``, ``account``).
        deaths: how many workers a slide may take with it before it fails.

    Raises:
        ConfigError: dask is not installed, or both a scheduler and a queue are named.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        scheduler: str | None = None,
        queue: str | None = None,
        job: dict[str, Any] | None = None,
        deaths: int = 5,
    ) -> None:
        if scheduler and queue:
            raise ConfigError("names a scheduler and a queue", where="DaskExecutor", fix="drop one")
        if queue and queue not in _QUEUES:
            raise ConfigError(f"got {queue}", where="queue", fix=f"one of {', '.join(_QUEUES)}")
        try:
            import distributed  # noqa: F401, PLC0415
        except ImportError as error:
            raise ConfigError(
                f"dask cannot be imported: {error}",
                where="DaskExecutor",
                fix="pip install 'gigakit[cluster]'",
            ) from error
        self.workers, self.scheduler, self.queue = workers, scheduler, queue
        self.job = job or {}
        self.deaths = deaths

    def run(self, work: Work, rows: Sequence[SlideRow]) -> Generator[SlideResult]:
        """Yield each slide's result; see :meth:`Executor.run`.

        Raises:
            GigakitError: the scheduler cannot be reached, or is gone.
        """
        import dask  # noqa: PLC0415
        from distributed import Client  # noqa: PLC0415

        try:
            with (
                dask.config.set({"distributed.scheduler.allowed-failures": self.deaths}),
                self._scheduler() as scheduler,
                Client(scheduler, set_as_default=False) as client,
            ):
                yield from self._results(client, work, rows)
        except (OSError, CancelledError) as error:
            cause = " ".join(str(error).split())
            raise GigakitError(
                f"the scheduler cannot be reached: {cause}",
                where="dask",
                fix="start it and run the same command again; what is finished stays",
            ) from error

    def _results(self, client: Any, work: Work, rows: Sequence[SlideRow]) -> Generator[SlideResult]:
        from distributed import as_completed  # noqa: PLC0415

        waiting = iter(rows)
        names: dict[str, SlideRow] = {}

        def submit(count: int) -> list[Any]:
            futures = []
            for row in itertools.islice(waiting, count):
                # a key of its own: what an earlier run returned is not looked up
                future = client.submit(work, row, pure=False)
                names[future.key] = row
                futures.append(future)
            return futures

        ahead = _AHEAD * max(self.workers, len(client.scheduler_info()["workers"]))
        running = as_completed(submit(ahead), loop=client.loop)
        for future in running:
            yield self._result(future, names.pop(future.key))
            running.update(submit(1))

    def _result(self, future: Any, row: SlideRow) -> SlideResult:
        from distributed import KilledWorker  # noqa: PLC0415

        try:
            result: SlideResult = future.result()
        except KilledWorker:
            return SlideResult(
                row.slide_id,
                "failed",
                reason=f"{row.path}: {self.deaths + 1} workers died on it, perhaps for want of "
                "memory",
            )
        finally:
            future.release()
        return result

    @contextlib.contextmanager
    def _scheduler(self) -> Iterator[Any]:
        """Yield a running scheduler's address, or a cluster made for this run."""
        if self.scheduler:
            yield self.scheduler
            return
        with self._cluster() as cluster:
            cluster.scale(self.workers)
            yield cluster

    def _cluster(self) -> Any:
        if self.queue:
            import dask_jobqueue  # noqa: PLC0415

            return getattr(dask_jobqueue, _QUEUES[self.queue])(**self.job)
        import distributed  # noqa: PLC0415

        cluster: Any = distributed.LocalCluster
        return cluster(n_workers=self.workers, threads_per_worker=1, dashboard_address=None)
