"""Signals as a request to stop: the first is noted, the second acts at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

# the last two are what sbatch --signal sends before a job is preempted or out of time
REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
# launchers pass a signal on to processes that have received it from the terminal or from SLURM
_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
_ECHO_SECONDS = 2.0


def exit_code(number: int) -> int:
    """Return the exit code of a process that a signal stopped: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


class StopSignals:
    """Context in which the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 sets :attr:`received`.

    A second one raises KeyboardInterrupt; under ``torchrun`` or SLURM, which repeat what they
    receive, only when it comes more than two seconds after the first. Outside the main thread,
    where Python allows no handlers, signals keep their effect.

    Attributes:
        received: the first signal that arrived, or ``None``.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._echoes = any(name in os.environ for name in _LAUNCHERS)
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    @property
    def exit_code(self) -> int:
        """Exit code of a process stopped by what was received."""
        return exit_code(self.received or signal.SIGINT)

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in REQUESTS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._handle_in_worker(number)
        elif self.received is None:
            self.received, self._received_at = signal.Signals(number), time.monotonic()
        elif not self._echoes or time.monotonic() - self._received_at > _ECHO_SECONDS:
            raise KeyboardInterrupt

    def _handle_in_worker(self, number: int) -> None:
        # a forked loader worker inherits this handler; Ctrl-C reaches it too, its parent decides
        if number == signal.SIGTERM:
            os._exit(exit_code(number))
