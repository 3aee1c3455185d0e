"""Where log records of a run go: its file, and the screen above the progress bar."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rich.console import Console


class ScreenHandler(logging.Handler):
    """Print warnings and errors, one line each, on the console the progress bar uses.

    Args:
        console: where to print.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class LogTakeover:
    """Send a logger's records to a run's handlers alone, until :meth:`restore`.

    Two handlers on one terminal would print each warning twice and tear the progress bar.

    Args:
        name: name of the logger, such as ``gigakit``.
        handlers: the run's handlers.
    """

    def __init__(self, name: str, handlers: Sequence[logging.Handler]) -> None:
        self._logger = logging.getLogger(name)
        self._before = self._logger.handlers, self._logger.level, self._logger.propagate
        self._logger.handlers = list(handlers)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False

    def restore(self) -> None:
        """Give the logger back as it was."""
        self._logger.handlers, level, self._logger.propagate = self._before
        self._logger.setLevel(level)
