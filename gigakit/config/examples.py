"""Where recipes use a component, and an example config of it that ``config check`` accepts."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gigakit.config.annotations import choices
from gigakit.config.overrides import KEEP
from gigakit.config.positions import Position, component_name, fields_of, top_level
from gigakit.config.reading import read_config
from gigakit.config.recipes import recipes
from gigakit.config.writing import dump_config
from gigakit.core.catalogue import Catalogue, Component
from gigakit.core.kinds import ARGUMENT_KINDS, KINDS
from gigakit.core.source import Argument

# the recipes that an example is taken from first
_FIRST = ("gigapath_slide", "gigapath_tile")
_SECTIONS = ("sample", "ablation_sample")
_AXES = "ablation"
# what stands for a required argument that only the user can know, by the annotation's first word
_VALUES = {"bool": True, "int": 1, "float": 0.5, "str": "name", "Path": "path", "dict": {}}
_LISTS = ("list", "sequence", "tuple")
_OUTER = re.compile(r"(\w+)(?:\[(.*)\])?")


# place and value
Cell = tuple[str, Any]


@dataclass(frozen=True)
class Use:
    """One place of a recipe where a component is named.

    Args:
        recipe: the recipe's name.
        key: dotted key where it is written, such as ``ablation.attention.cells.local``.
        place: dotted key at which it then stands, such as ``model.encoder.attention``.
        value: the component's config.
        origin: ``file:line``.
        cell: place and value of the cell that it is part of.
    """

    recipe: str
    key: str
    place: str
    value: dict[str, Any]
    origin: str
    cell: Cell | None = None

    @property
    def is_trained(self) -> bool:
        """The recipe has it there by itself: no cell of an ablation and no section puts it."""
        return self.key == self.place


def all_uses() -> list[Use]:
    """Return every component that a recipe names, cells of its ablation included."""
    known = recipes()
    found: list[Use] = []
    for name in (*_FIRST, *(name for name in known if name not in _FIRST)):
        reading = read_config(known[name])
        for cell, key, place, value in _named(reading.values):
            origin = reading.origins.get(f"{key}.type") or reading.origins.get(key)
            found.append(Use(name, key, place, value, origin or str(known[name]), cell))
    return found


def example_config(component: Component, uses: Sequence[Use], catalogue: Catalogue) -> str | None:
    """Return the text of a small config that holds a component; ``None`` where no config can.

    Around it stands what its place needs and nothing else; it holds what a recipe gives it, or else
    its required arguments.
    """
    example = _Example(component, uses, catalogue)
    found = example.place()
    if found is None:
        return None
    values, path = found
    if component.registry in _BY_NAME:
        return dump_config(_nested(path, component.name))
    return dump_config(example.around(values, top_level(catalogue), path))


# registries whose components a config names by a text alone
_BY_NAME = ("RUNNERS", "OPTIM_WRAPPER_CONSTRUCTORS")


class _Example:
    """A component's config, and the least that has to stand around it."""

    def __init__(self, component: Component, uses: Sequence[Use], catalogue: Catalogue) -> None:
        self.component, self.uses, self.catalogue = component, uses, catalogue
        self.own = [use for use in uses if use.value["type"] == component.name]

    def place(self) -> tuple[dict[str, Any], list[str]] | None:
        """Return the values of a recipe that has a place for the component, and its path."""
        registry = self.component.registry
        names = self.catalogue.components(registry)
        trained = [use for use in self.uses if use.is_trained]
        for use in (*self.own, *(use for use in trained if use.value["type"] in names)):
            return _values(use), use.place.split(".")
        for use in trained:
            holder = self.catalogue.find(use.value["type"], tuple(KINDS))
            for argument in holder.arguments if holder else ():
                if registry in ARGUMENT_KINDS.get(argument.name, ()):
                    return _values(use), [*use.place.split("."), argument.name]
        path = self._top_path(top_level(self.catalogue).keys)
        return ({}, path) if path else None

    def value(self) -> dict[str, Any]:
        """Return the component's config: what a recipe gives it over what it requires."""
        whole = [use.value for use in self.own if KEEP not in use.value]
        given = copy.deepcopy(whole[0]) if whole else {}
        return {**self.smallest(self.component), **given}

    def smallest(self, component: Component, given: Mapping[str, Any] = {}) -> dict[str, Any]:
        """Return a component's config with its required arguments alone, as small as they can be.

        Args:
            component: which one.
            given: a config of it, whose arguments show what may stand there.
        """
        injected = KINDS[component.registry].injected
        required = [a for a in component.arguments if a.required and a.name not in injected]
        values = {a.name: self._value_of(a, given.get(a.name)) for a in required}
        return {"type": component.name, **values}

    def around(self, value: Any, position: Position, path: Sequence[str]) -> Any:
        """Return what a recipe has along a path, without what the path does not need."""
        if not path:
            return self.value()
        step, *rest = path
        if isinstance(value, list | tuple):
            return [self.around(value[int(step)], position, rest)]
        value = value if isinstance(value, Mapping) else {}
        fields = fields_of(value, position, self.catalogue)
        name = component_name(value, position)
        needed: dict[str, Any] = {}
        if name is not None and fields.component is not None:
            needed = {**self.smallest(fields.component, value), "type": name}
        inner = fields.positions.get(step, Position())
        below = self.around(value.get(step), inner, rest)
        argument = fields.arguments.get(step)
        listed = argument is not None and _is_list(argument.annotation or "")
        if not rest and listed and not isinstance(below, list):
            below = [below]
        return {**needed, step: below}

    def _value_of(self, argument: Argument, given: Any) -> Any:
        annotation = argument.annotation or ""
        kinds = ARGUMENT_KINDS.get(argument.name, ())
        if not kinds or "dict" not in annotation:
            return _plain_value(annotation) if given is None else given
        if isinstance(given, list | tuple):
            given = given[0]
        is_whole = isinstance(given, dict) and "type" in given
        held = given if is_whole else self._held(argument.name, kinds)
        component = self.catalogue.find(held["type"], kinds) if held else None
        inner = self.smallest(component, held) if component and held else {}
        return [inner] if _is_list(annotation) else inner

    def _held(self, name: str, kinds: Sequence[str]) -> dict[str, Any] | None:
        """Return what a recipe gives an argument of this name."""
        names = {known for kind in kinds for known in self.catalogue.components(kind)}
        fitting = [use for use in self.uses if use.value["type"] in names]
        alike = [use.value for use in fitting if name in use.place.split(".")[-2:]]
        return next(iter(alike), None)

    def _top_path(self, keys: Mapping[str, Position]) -> list[str] | None:
        registry = self.component.registry
        for name, position in keys.items():
            if registry in position.kinds or position.names == registry:
                return [name]
            inner = self._top_path(position.keys)
            if inner is not None:
                return [name, *inner]
        return None


def _plain_value(annotation: str) -> Any:
    if allowed := choices(annotation):
        return allowed[0]
    outer = _OUTER.match(annotation)
    if outer is None:
        return None
    if outer[1].lower() in _LISTS:
        return [_plain_value(outer[2] or "int")]
    return _VALUES.get(outer[1])


def _is_list(annotation: str) -> bool:
    outer = _OUTER.match(annotation)
    return outer is not None and outer[1].lower() in _LISTS


def _values(use: Use) -> dict[str, Any]:
    """Return the values of a recipe, with the cell that names the component in its place."""
    values = read_config(recipes()[use.recipe]).values
    if use.cell is None:
        return values
    place, value = use.cell
    *path, last = place.split(".")
    holder: Any = values
    for part in path:
        holder = holder[int(part) if isinstance(holder, list | tuple) else part]
    holder[int(last) if isinstance(holder, list) else last] = value
    return values


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for part in reversed(path[1:]):
        value = {part: value}
    return {path[0]: value}


def _named(values: Mapping[str, Any]) -> Iterator[tuple[Cell | None, str, str, dict[str, Any]]]:
    """Yield cell, key, place and config of each component, those of sections and axes too."""
    for name, value in values.items():
        if name in _SECTIONS:
            cells = [(f"{name}.{key}", key, item) for key, item in value.items()]
        elif name == _AXES:
            cells = list(_cells(value))
        else:
            yield from ((None, *found) for found in _components(value, name, name))
            continue
        for written, place, item in cells:
            yield from (((place, item), *found) for found in _components(item, written, place))


def _cells(axes: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield key, place and value of each cell of an ablation."""
    for name, axis in axes.items():
        for label, cell in axis.get("cells", {}).items():
            yield f"{_AXES}.{name}.cells.{label}", axis["key"], cell
        for label, cell in axis.get("sets", {}).items():
            for key, item in cell.items():
                yield f"{_AXES}.{name}.sets.{label}.{key}", key, item


def _components(value: Any, key: str, place: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
        if isinstance(value.get("type"), str):
            yield key, place, value
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    for name, item in items:
        yield from _components(item, f"{key}.{name}", f"{place}.{name}")
