"""Log records on the screen, above a progress bar if there is one."""

from __future__ import annotations

import logging

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
