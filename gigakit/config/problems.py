"""What is wrong in a config's values, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigakit.config.annotations import choices, fits
from gigakit.config.positions import (
    ANYTHING,
    Fields,
    Position,
    component_name,
    fields_of,
    top_level,
)
from gigakit.core.catalogue import Catalogue, Component, nearest
from gigakit.core.kinds import KINDS

_SECTIONS = ("sample", "ablation", "ablation_sample")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        key: dotted key of the value concerned.
        what: what was found.
        suggestion: what was probably meant.
    """

    key: str
    what: str
    suggestion: str | None = None


def find_problems(values: Mapping[str, Any], catalogue: Catalogue) -> list[Finding]:
    """Return everything wrong with a config's values, its sections' own rules aside."""
    plain = {key: value for key, value in values.items() if key not in _SECTIONS}
    return list(_in_dict(plain, top_level(catalogue), "", catalogue))


def _in_value(value: Any, position: Position, key: str, catalogue: Catalogue) -> Iterator[Finding]:
    if isinstance(value, dict):
        yield from _in_dict(value, position, key, catalogue)
    elif isinstance(value, str) and position.names:
        if catalogue.find(value, [position.names]) is None:
            named = Position((position.names,))
            yield from _unknown_type(value, named, key, catalogue)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _in_value(item, position, f"{key}.{index}", catalogue)


def _in_dict(
    value: Mapping[str, Any], position: Position, key: str, catalogue: Catalogue
) -> Iterator[Finding]:
    fields = fields_of(value, position, catalogue)
    name = component_name(value, position)
    if name is None:
        if position.component and value:
            found = f", got {value['type']!r}" if "type" in value else ""
            yield Finding(key, f"{_of_kinds(position)} needs a type{found}")
    elif fields.component is None:
        yield from _unknown_type(name, position, f"{key}.type", catalogue)
    else:
        yield from _arguments(value, fields.component, key)
    for name, item in value.items():
        dotted = f"{key}.{name}" if key else str(name)
        if name not in fields.positions and not fields.open:
            yield _unknown_key(str(name), fields, dotted)
            continue
        yield from _wrong_value(name, item, fields, dotted)
        yield from _in_value(item, fields.positions.get(name, ANYTHING), dotted, catalogue)


def _unknown_type(
    name: str, position: Position, key: str, catalogue: Catalogue
) -> Iterator[Finding]:
    if "." in name.removeprefix("gigakit.").removeprefix("mmengine."):
        # a full import path, such as torch.nn.GELU: nothing is known of it without importing
        return
    kinds = [kind.label for kind in catalogue.kinds_of(name)]
    if kinds and position.kinds:
        yield Finding(key, f"'{name}' is {_article(kinds[0])}, here belongs {_of_kinds(position)}")
        return
    close = catalogue.nearest(name, position.kinds or tuple(KINDS))
    labels = " or ".join(KINDS[kind].label for kind in position.kinds) or "component"
    yield Finding(key, f"'{name}' is not a registered {labels}", close)


def _arguments(value: Mapping[str, Any], component: Component, key: str) -> Iterator[Finding]:
    injected = KINDS[component.registry].injected
    for argument in component.arguments:
        given = argument.name in value or argument.name in injected
        if argument.required and not given and not component.open:
            yield Finding(key, f"{component.name} needs the argument '{argument.name}'")


def _unknown_key(name: str, fields: Fields, dotted: str) -> Finding:
    close = nearest(name, fields.positions)
    if fields.component is not None:
        return Finding(dotted, f"{fields.component.name} has no argument '{name}'", close)
    if "." not in dotted:
        return Finding(dotted, f"unknown top-level key '{name}'", close)
    return Finding(dotted, f"{dotted.rpartition('.')[0]} has no key '{name}'", close)


def _wrong_value(name: str, value: Any, fields: Fields, dotted: str) -> Iterator[Finding]:
    argument = fields.arguments.get(name)
    if argument is None or argument.annotation is None or fits(value, argument.annotation):
        return
    if isinstance(value, dict) and "type" in value:
        # a component that the owner builds
        return
    if value is None and argument.default == "None":
        return
    allowed = [str(choice) for choice in choices(argument.annotation)]
    close = nearest(value, allowed) if isinstance(value, str) else None
    owner = fields.component.name if fields.component else ""
    yield Finding(dotted, f"{owner}.{name} is {argument.annotation}, got {value!r}", close)


def _of_kinds(position: Position) -> str:
    return " or ".join(_article(KINDS[name].label) for name in position.kinds)


def _article(label: str) -> str:
    return f"{'an' if label[0] in 'aeio' else 'a'} {label}"
