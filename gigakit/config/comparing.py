"""The difference of two configs, by dotted key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()


@dataclass(frozen=True)
class Difference:
    """One key at which two configs differ; ``ABSENT`` where one lacks it."""

    key: str
    left: Any
    right: Any


def diff_configs(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    """Return every key whose value differs, in the order of the left config."""
    return list(_differences(left, right, ""))


def _differences(left: Any, right: Any, key: str) -> Iterator[Difference]:
    pair = _keyed(left), _keyed(right)
    if pair[0] is None or pair[1] is None or type(left) is not type(right):
        # 1, 1.0 and True are equal to Python, not to a config
        if left != right or type(left) is not type(right):
            yield Difference(key, left, right)
        return
    for name in [*pair[0], *(name for name in pair[1] if name not in pair[0])]:
        dotted = f"{key}.{name}" if key else str(name)
        yield from _differences(pair[0].get(name, ABSENT), pair[1].get(name, ABSENT), dotted)


def _keyed(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    return dict(enumerate(value)) if isinstance(value, list | tuple) else None
