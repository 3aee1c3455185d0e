"""SIGINT and SIGTERM as a request to stop: the first is noted, the second acts at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from gigakit.core.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class StopSignals:
    """Context in which the first SIGINT or SIGTERM sets :attr:`received` and a second one raises.

    Outside the main thread, where Python allows no handlers, signals keep their effect.

    Attributes:
        received: the first signal that arrived, or ``None``.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    @property
    def exit_code(self) -> int:
        """Exit code of a process stopped by what was received."""
        return _CODES.get(self.received or signal.SIGINT, EXIT_INTERRUPTED)

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in _CODES:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._handle_in_worker(number)
            return
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def _handle_in_worker(self, number: int) -> None:
        # a forked loader worker inherits this handler; Ctrl-C reaches it too, its parent decides
        if number == signal.SIGTERM:
            os._exit(EXIT_TERMINATED)
