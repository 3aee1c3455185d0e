"""Where log records of a run go: its file, and the screen above the progress bar."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

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


@contextlib.contextmanager
def borrowed_logger(name: str) -> Iterator[None]:
    """Give a logger back as it was, after a run has sent its records to handlers of its own.

    Two handlers on one terminal would print each warning twice and tear the progress bar.
    """
    logger = logging.getLogger(name)
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def send_records(name: str, handlers: Sequence[logging.Handler]) -> None:
    """Send a logger's records to these handlers alone."""
    logger = logging.getLogger(name)
    logger.handlers = list(handlers)
    logger.propagate = False
    logger.setLevel(logging.INFO)
