"""Child processes, several at a time, that are asked to stop when this one is."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from gigakit.engine.signals import REQUESTS

_POLL_SECONDS = 0.05
# the first lets children write a checkpoint, the second stops them, more end what still runs
_STOPS = 2


@dataclass(frozen=True)
class Task:
    """One process to run.

    Args:
        command: the program and its arguments.
        output: file of what it prints; ``None`` leaves it this process's screen.
        environment: variables beside this process's own.
    """

    command: Sequence[str]
    output: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a task ended.

    Args:
        number: the task's place among all, from 0.
        code: its exit code; negative is the signal that killed it.
        seconds: how long it ran.
    """

    number: int
    code: int
    seconds: float


class Children:
    """Run tasks in processes of their own, apart from the terminal, and hand each signal on.

    A first SIGINT, SIGTERM, SIGUSR1, SIGUSR2 or SIGHUP goes to all that run, and nothing is started
    any more; so does a second one; a third kills them. Outside the main thread, where Python allows
    no handlers, signals keep their effect.

    Args:
        on_signal: called with the first signal and the number of processes that got it.

    Attributes:
        received: the first signal, or ``None``.
    """

    def __init__(self, on_signal: Callable[[signal.Signals, int], None]) -> None:
        self.received: signal.Signals | None = None
        self._count = 0
        self._on_signal = on_signal
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def run(
        self, tasks: Sequence[Callable[[int], Task]], slots: int, on_start: Callable[[int], None]
    ) -> Iterator[Ended]:
        """Run tasks in order, ``slots`` at a time, and yield each as it ends.

        Args:
            tasks: each is called with the free slot's number when its turn has come.
            slots: how many run at a time.
            on_start: called with a task's number when it starts.
        """
        waiting = collections.deque(enumerate(tasks))
        begun: dict[int, tuple[int, float]] = {}
        with self._signals():
            while self._running or (waiting and self.received is None):
                free = [slot for slot in range(slots) if slot not in self._running]
                while waiting and free and self.received is None:
                    number, make = waiting.popleft()
                    slot = free.pop(0)
                    on_start(number)
                    begun[slot] = (number, time.perf_counter())
                    self._start(slot, make(slot))
                ended = [s for s, child in self._running.items() if child.poll() is not None]
                for slot in ended:
                    code = self._running.pop(slot).returncode
                    number, begin = begun.pop(slot)
                    yield Ended(number, code, time.perf_counter() - begin)
                if not ended:
                    time.sleep(_POLL_SECONDS)

    def _start(self, slot: int, task: Task) -> None:
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(task.output.open("wb")) if task.output else None
            # apart from the terminal, whose Ctrl-C would reach it beside ours
            child = subprocess.Popen(
                task.command,
                stdout=output,
                stderr=output and subprocess.STDOUT,
                env={**os.environ, **task.environment},
                start_new_session=True,
            )
        self._running[slot] = child
        if self.received is not None:
            # it came while the child was starting
            child.send_signal(self.received)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (*REQUESTS, signal.SIGHUP):
                # nohup wants the end of the terminal to be ignored
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # a run knows no SIGHUP
        sent = signal.SIGTERM if number == signal.SIGHUP else signal.Signals(number)
        self._count += 1
        running = [child for child in self._running.values() if child.poll() is None]
        for child in running:
            child.send_signal(sent if self._count <= _STOPS else signal.SIGKILL)
        if self.received is None:
            self.received = sent
            self._on_signal(sent, len(running))
