"""Tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

_PIPE_WIDTH = 200


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Collection[str] = ()
) -> None:
    """Print a table; a pipe gets it uncut, without colour.

    Args:
        header: titles of the columns.
        rows: their texts.
        whole: titles of columns that stay whole where there is no room; then others are broken.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for title in header:
        table.add_column(title, overflow="fold" if whole else "ellipsis", no_wrap=title in whole)
    for row in rows:
        # plain text: brackets in values are no markup
        table.add_row(*(Text(cell) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)
