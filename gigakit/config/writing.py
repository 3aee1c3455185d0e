"""A config as runnable text, and as flat lines."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 100


def dump_config(values: Mapping[str, Any]) -> str:
    """Return text that :func:`gigakit.config.load_config`, or mmengine, reads as the same."""
    return "".join(f"{key} = {_text(value, 0, len(key) + 3)}\n" for key, value in values.items())


def flat_items(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of each leaf; a list of plain values is one."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list) for item in value):
        items = list(enumerate(value))
    if not items:
        yield key, value
    for name, item in items:
        yield from flat_items(item, f"{key}.{name}" if key else str(name))


def value_text(value: Any) -> str:
    """Return a value as one line of config text."""
    return _flat(value)


def _text(value: Any, indent: int, used: int) -> str:
    flat = _flat(value)
    parts = _parts(value)
    if not parts or indent + used + len(flat) <= _WIDTH:
        return flat
    opening, closing, entries = _brackets(value), _closing(value), parts
    inner = indent + 4
    lines = [
        f"{' ' * inner}{prefix}{_text(item, inner, len(prefix) + 1)},\n" for prefix, item in entries
    ]
    return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"


def _flat(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    parts = _parts(value)
    if parts is None:
        return repr(value)
    inside = ", ".join(prefix + _flat(item) for prefix, item in parts)
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{_brackets(value)}{inside}{comma}{_closing(value)}"


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """List the prefix (``name=``) and value of each element, ``None`` for a plain value."""
    if isinstance(value, Mapping):
        named = _is_named(value)
        return [(f"{k}=" if named else f"{_flat(k)}: ", item) for k, item in value.items()]
    return [("", item) for item in value] if isinstance(value, list | tuple) else None


def _is_named(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not keyword.iskeyword(k) for k in value)


def _brackets(value: Any) -> str:
    if isinstance(value, Mapping):
        return "dict(" if _is_named(value) else "{"
    return "(" if isinstance(value, tuple) else "["


def _closing(value: Any) -> str:
    return {"dict(": ")", "{": "}", "(": ")", "[": "]"}[_brackets(value)]
