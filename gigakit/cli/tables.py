"""Tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_PIPE_WIDTH = 200


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a pipe gets it uncut, without colour."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header)
    for row in rows:
        # plain text: brackets in values are no markup
        table.add_row(*(Text(cell) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)
