"""Training runs in processes of their own, forked from a server that has done the imports."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warm.late_imports import LATE_IMPORTS

CONTEXT = multiprocessing.get_context("forkserver")
# the server imports what each run would; pytest is the main module of the tests' own process
CONTEXT.set_forkserver_preload(["pytest", "resuming.child", *LATE_IMPORTS])
_LIMIT_S = 180.0
SIGKILLED = -int(signal.SIGKILL)


@dataclass(frozen=True)
class Order:
    """One run to make.

    Args:
        values: a resolved config.
        work_dir: folder of the run.
        notes: folder for what the probe writes: reads, steps, stderr.
        resume: go on with the run in the folder.
        fault: ``(kind, arguments)`` of what kills the run from inside, see :mod:`resuming.child`.
        counts_calls: count Python calls, which a fault of kind ``calls`` needs.
        environment: variables of the processes, beside those that ``torchrun`` would set.
    """

    values: dict[str, Any]
    work_dir: Path
    notes: Path
    resume: bool = False
    fault: tuple[str, dict[str, Any]] | None = None
    counts_calls: bool = True
    environment: dict[str, str] = field(default_factory=dict)


class Run:
    """The processes of one run."""

    def __init__(self, order: Order, processes: int) -> None:
        from resuming import child

        order.notes.mkdir(parents=True, exist_ok=True)
        self.order = order
        self.started = time.monotonic()
        self._processes = [
            CONTEXT.Process(target=child.main, args=(order, {**order.environment, **ranks}))
            for ranks in _rank_environments(processes)
        ]
        for process in self._processes:
            process.start()

    def signal(self, number: int, rank: int = 0) -> None:
        """Send a signal to one of the processes, if it is still there."""
        process = self._processes[rank]
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)

    def alive(self) -> bool:
        """Tell whether a process is still there."""
        return any(process.is_alive() for process in self._processes)

    def wait(self, limit_s: float = _LIMIT_S) -> list[int]:
        """Wait for the end and return the exit codes, negative for a signal."""
        deadline = time.monotonic() + limit_s
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        late = self.alive()
        codes = []
        for process in self._processes:
            process.kill()
            process.join()
            codes.append(int(process.exitcode or 0))
            process.close()
        if late:
            raise AssertionError(f"did not end in {limit_s:.0f} s\n{self.stderr()}")
        return codes

    def finish(self) -> None:
        """Wait for the end, which must be a success."""
        codes = self.wait()
        assert codes == [0] * len(codes), f"exit codes {codes}\n{self.stderr()}"

    def stderr(self) -> str:
        """Return what the processes said."""
        path = self.order.notes / "stderr"
        return path.read_text(errors="replace") if path.is_file() else ""


def start(order: Order, processes: int = 1) -> Run:
    """Start a run; with several processes in the environment that ``torchrun`` gives them."""
    return Run(order, processes)


def _rank_environments(processes: int) -> list[dict[str, str]]:
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }
        for rank in range(processes)
    ]  # fmt: skip
