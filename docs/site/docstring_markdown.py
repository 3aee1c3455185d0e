"""Docstrings in Google form as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from gigakit.core.docstrings import without_arguments

_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
_CODE = re.compile(r"(``.+?``|`.+?`)", re.DOTALL)
_SECTION = re.compile(r"^([A-Z][a-z]+):(?: (.*))?$")
_ENTRY = re.compile(r"^(\w+): (.*)$")


def inline(text: str) -> str:
    """Return a text of a docstring with its code as Markdown's, and nothing else as markup."""
    parts = _CODE.split(_ROLE.sub(r"``\1``", text))
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"`{' '.join(part.strip('`').split())}`"
        else:
            parts[number] = re.sub(r"([*_\[])", r"\\\1", part).replace("<", "&lt;")
    return "".join(parts)


def cell(text: str) -> str:
    """Return a text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code_cell(text: str) -> str:
    """Return code for a cell of a table; a pipe would end the cell."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return f"<code>{escaped}</code>" if text else ""


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table without its empty columns, and an empty line."""
    columns = list(zip(titles, *rows, strict=True))
    titles, *rows = zip(*(column for column in columns if any(column[1:])), strict=True)
    lines = [" | ".join(titles), " | ".join(["---"] * len(titles))]
    lines += [" | ".join(row) for row in rows]
    return [*(f"| {line} |" for line in lines), ""]


def docstring_markdown(docstring: str) -> str:
    """Return a docstring as Markdown, its ``Args`` left out: they stand in a table."""
    blocks = []
    for block in re.split(r"\n{2,}", without_arguments(docstring)):
        first, *rest = block.splitlines()
        head = _SECTION.match(first)
        if head is None:
            blocks.append(_paragraph(block))
        elif head[2]:
            blocks.append(f"**{head[1]}.** {inline(' '.join([head[2], *map(str.strip, rest)]))}")
        else:
            blocks.append(f"**{head[1]}**\n\n{_entries(rest)}")
    return "\n\n".join(blocks)


def _paragraph(block: str) -> str:
    if block.startswith("    "):
        return f"```text\n{textwrap.dedent(block)}\n```"
    return inline(block)


def _entries(lines: Iterable[str]) -> str:
    """Return the entries of a section such as ``Raises`` as a list."""
    items: list[list[str]] = []
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        if line.startswith(" ") and items:
            items[-1].append(line.strip())
        else:
            items.append([line.strip()])
    texts = []
    for item in items:
        text = " ".join(item)
        entry = _ENTRY.match(text)
        texts.append(f"- `{entry[1]}`: {inline(entry[2])}" if entry else f"- {inline(text)}")
    return "\n".join(texts)
