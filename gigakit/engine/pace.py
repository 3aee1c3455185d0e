"""How long a run still takes."""

from __future__ import annotations

import time
from collections import deque

_WINDOW_SECONDS = 60.0
_SPACING_SECONDS = 0.5


class Pace:
    """Steps a second over the last minute, and the time left.

    The rate leaves validation out; the time left holds the validations to come, each as long as
    those so far took on average. A resumed run starts anew, so steps made before do not count.
    """

    def __init__(self) -> None:
        self._paused = 0.0
        self._validations = 0
        self._validating_since = 0.0
        self._points: deque[tuple[float, int]] = deque()
        self._now = (0.0, 0)

    def start(self, step: int) -> None:
        """Start the clock after ``step`` steps."""
        self._now = (self._time(), step)
        self._points.append(self._now)

    def step_done(self, step: int) -> None:
        """Note that ``step`` steps are made."""
        now = self._time()
        self._now = (now, step)
        if now - self._points[-1][0] >= _SPACING_SECONDS:
            self._points.append(self._now)
            while now - self._points[1][0] >= _WINDOW_SECONDS:
                self._points.popleft()

    def validation_begins(self) -> None:
        """Stop the clock."""
        self._validating_since = time.perf_counter()

    def validation_ends(self) -> None:
        """Let the clock go on."""
        self._paused += time.perf_counter() - self._validating_since
        self._validations += 1

    @property
    def steps_per_second(self) -> float:
        """Rate over the last minute, or since the start; 0 before the first step."""
        (then, first), (now, last) = self._points[0], self._now
        return (last - first) / max(now - then, 1e-9) if last > first else 0.0

    def seconds_left(self, steps: int, validations: int = 0) -> float | None:
        """Return the time that steps and validations will take, or ``None`` before the first step.

        Args:
            steps: still to make.
            validations: still to make; one whose duration is not known yet counts as nothing.
        """
        rate = self.steps_per_second
        if not rate:
            return None
        each = self._paused / self._validations if self._validations else 0.0
        return steps / rate + validations * each

    def _time(self) -> float:
        return time.perf_counter() - self._paused


def clock(seconds: float | None) -> str:
    """Write a duration as ``h:mm:ss``, from a day on with the days before it."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d " * (days > 0) + f"{hours}:{minutes:02d}:{rest:02d}"
