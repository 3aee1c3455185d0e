"""What a Google docstring says of each argument, and of where it comes from."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

_HEAD = re.compile(r"^(?:Args|Arguments):$")
_ENTRY = re.compile(r"^(\*{0,2}\w+)(?: ?\([^)]*\))?: ?(.*)$")


def argument_texts(docstring: str) -> dict[str, str]:
    """Return what the ``Args`` section says of each argument, as one line each."""
    texts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _arguments(docstring):
        entry = _ENTRY.match(line)
        if entry:
            current = texts.setdefault(entry[1].lstrip("*"), [])
        current.append(entry[2] if entry else line.strip())
    return {name: " ".join(part for part in parts if part) for name, parts in texts.items()}


def source_text(docstring: str) -> str:
    """Return the whole ``Source:`` entry, as one line; empty where there is none."""
    lines = iter(docstring.splitlines())
    for line in lines:
        if line.startswith("Source:"):
            more = []
            for further in lines:
                if not further.startswith(" "):
                    break
                more.append(further.strip())
            return " ".join([line.partition(":")[2].strip(), *more])
    return ""


def without_arguments(docstring: str) -> str:
    """Return a docstring without its ``Args`` section."""
    kept, inside = [], False
    for line in docstring.splitlines():
        if _HEAD.match(line):
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
        if not inside:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _arguments(docstring: str) -> Iterator[str]:
    """Yield the lines of the section, its own indent taken off."""
    section: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if inside and line and not line.startswith(" "):
            break
        if inside:
            section.append(line)
        inside = inside or bool(_HEAD.match(line))
    yield from textwrap.dedent("\n".join(section)).splitlines()
