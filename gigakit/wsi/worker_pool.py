"""A pool of processes, any of which may die or hang without costing more than its own slide."""

from __future__ import annotations

import collections
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Self

import cv2

from gigakit.core.errors import GigakitError
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.executor import Work
from gigakit.wsi.work import SlideResult

# a slide whose process died is tried once more: the death may have been another's fault
_MOST_DEATHS = 2


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    connection: Connection
    row: SlideRow | None = None
    begun: float = 0.0

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class WorkerPool:
    """Processes that each work on one slide at a time.

    They are spawned, not forked: slide libraries do not survive a fork. One that dies or exceeds
    the time limit is replaced.

    Args:
        work: what is done to a slide.
        workers: processes.
        time_limit: seconds a slide may take; ``None`` waits.
    """

    def __init__(self, work: Work, workers: int, time_limit: float | None = None) -> None:
        self._work = work
        self._time_limit = time_limit
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start(number) for number in range(workers)]

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *error: object) -> None:
        """End every process."""
        for worker in self._workers:
            worker.end()

    def run(self, rows: Sequence[SlideRow]) -> Iterator[SlideResult]:
        """Yield each slide's result as it comes.

        Raises:
            GigakitError: what a worker says is the whole cohort's trouble.
        """
        waiting = collections.deque(rows)
        deaths: collections.Counter[str] = collections.Counter()
        left = len(rows)
        while left:
            for worker in self._ready():
                for result in self._serve(worker, waiting, deaths):
                    left -= 1
                    yield result

    def _serve(
        self,
        worker: _Worker,
        waiting: collections.deque[SlideRow],
        deaths: collections.Counter[str],
    ) -> Iterator[SlideResult]:
        row, late = worker.row, self._is_late(worker)
        try:
            answer = None if late else worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._replace(worker)
            if row is not None:
                deaths[row.slide_id] += 1
                if deaths[row.slide_id] < _MOST_DEATHS:
                    waiting.append(row)
                else:
                    yield _failed(row, worker, _how(worker.process.exitcode))
            return
        if late and row is not None:
            self._replace(worker)
            yield _failed(row, worker, f"took longer than its limit of {self._time_limit:g} s")
            return
        if isinstance(answer, GigakitError):
            raise answer
        if isinstance(answer, SlideResult):
            yield answer
        worker.row = waiting.popleft() if waiting else None
        worker.begun = time.monotonic()
        if worker.row is not None:
            worker.connection.send(worker.row)

    def _ready(self) -> list[_Worker]:
        """Wait until workers have something to say, are dead, or late."""
        pause = None
        if self._time_limit is not None:
            ends = [w.begun + self._time_limit for w in self._workers if w.row is not None]
            pause = max(0.0, min(ends, default=time.monotonic() + 1) - time.monotonic()) + 0.01
        ready = wait([worker.connection for worker in self._workers], pause)
        return [w for w in self._workers if w.connection in ready or self._is_late(w)]

    def _is_late(self, worker: _Worker) -> bool:
        if self._time_limit is None or worker.row is None or worker.connection.poll():
            return False
        return time.monotonic() - worker.begun > self._time_limit

    def _replace(self, worker: _Worker) -> None:
        worker.end()
        number = self._workers.index(worker)
        self._workers[number] = self._start(number)

    def _start(self, number: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        # not a daemon, since its work may need processes of its own
        process = self._context.Process(
            target=_serve_slides, args=(theirs, self._work.for_worker(number))
        )
        process.start()
        # the other end must be the child's alone, so that its death closes the pipe
        theirs.close()
        return _Worker(process, ours)


def _failed(row: SlideRow, worker: _Worker, why: str) -> SlideResult:
    seconds = time.monotonic() - worker.begun
    return SlideResult(row.slide_id, "failed", seconds=seconds, reason=f"{row.path}: {why}")


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"the process that worked on it was ended by {name} twice{memory}"
    return f"the process that worked on it ended twice, with code {code}"


def _serve_slides(connection: Connection, work: Work) -> None:
    """Work on the slides that come, until no more come; a worker process's whole life."""
    # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # threads of several workers would stall each other
    cv2.setNumThreads(1)
    connection.send(None)
    while True:
        try:
            row = connection.recv()
        except EOFError:
            return
        try:
            answer: SlideResult | GigakitError = work(row)
        except GigakitError as error:
            answer = error
        connection.send(answer)
