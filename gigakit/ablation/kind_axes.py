"""Axes that need no declaration: one for each kind of component that a config holds once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigakit.ablation.axes import NONE, Axis, recipe_axes
from gigakit.config import ABSENT
from gigakit.config.positions import Position, component_name, fields_of, top_level
from gigakit.core.catalogue import Catalogue
from gigakit.core.kinds import KINDS

# where the choice of each kind is made; evaluation is the same in every cell, so it is left out
_HOMES = {
    "READERS": "preparation",
    "SEGMENTERS": "preparation",
    "TILERS": "preparation",
    "QUALITIES": "preparation",
    "AUGMENTATIONS": "train_dataloader",
    "MASKINGS": "train_dataloader",
    "OBJECTIVES": "model",
    "BACKBONES": "model",
    "ATTENTIONS": "model.encoder",
    "POSITIONS": "model.encoder",
    "HEADS": "model",
    "LOSSES": "model",
    "TARGETS": "model",
    "OPTIMIZERS": "optim_wrapper",
    "PARAM_SCHEDULERS": "param_scheduler",
}


_EMPTY = (None, ABSENT)


@dataclass(frozen=True)
class _Place:
    """A place of a config that holds a component, or may hold one.

    Args:
        key: its dotted key.
        kinds: the registries that it takes.
        value: what it holds.
        optional: it may be empty.
    """

    key: str
    kinds: tuple[str, ...]
    value: Any
    optional: bool

    def is_inside(self, other: _Place) -> bool:
        return self.key.startswith(f"{other.key}.")


def all_axes(values: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Axis]:
    """Return every axis of a config by name: the recipe's, then those of :func:`kind_axes`.

    Where the recipe has an axis of a kind's name, or over its key, the recipe's counts.
    """
    axes = recipe_axes(values)
    keys = {axis.key for axis in axes.values()}
    kinds = {
        name: axis
        for name, axis in kind_axes(values, catalogue).items()
        if axis.key not in keys and axes.keys().isdisjoint({name, f"{name}s", f"{name}es"})
    }
    return axes | kinds


def kind_axes(values: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Axis]:
    """Return an axis for each kind of choice that is made at one place of a config, by name.

    Of several places the outermost counts, then those that are filled; if there still are several,
    the kind has no axis. A place that may be empty takes ``none``. A list of components is one
    place: its values are names joined by ``+``. A component that replaces another one takes over
    the arguments that both have, so that little else changes.
    """
    places = list(_places(values, Position(keys=top_level(catalogue).keys), "", catalogue))
    axes = {}
    for registry, home in _HOMES.items():
        found = [p for p in places if registry in p.kinds and f"{p.key}.".startswith(f"{home}.")]
        found = [p for p in found if not any(p.is_inside(other) for other in found)]
        found = [p for p in found if p.value not in _EMPTY] or found
        if len(found) == 1 and _can_be_named(found[0]):
            name = KINDS[registry].label.replace("-", "_")
            axes[name] = _axis(name, found[0], registry)
    return axes


def _axis(name: str, place: _Place, registry: str) -> Axis:
    if isinstance(place.value, list | tuple):
        members = {item["type"]: item for item in place.value}
        return Axis(name, place.key, {NONE: []}, registry=registry, members=members)
    # what is not set is none already
    cells = {NONE: ABSENT if place.value is ABSENT else None} if place.optional else {}
    return Axis(name, place.key, cells, registry=registry, current=_dict(place.value))


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _can_be_named(place: _Place) -> bool:
    """Tell whether a name says which component of a place is meant: no two are of one type."""
    if not isinstance(place.value, list | tuple):
        return True
    types = [item.get("type") for item in place.value if isinstance(item, dict)]
    return len({*types} - {None}) == len(place.value)


def _places(
    value: Mapping[str, Any], position: Position, key: str, catalogue: Catalogue
) -> Iterator[_Place]:
    """Yield the places of components in a dict and below."""
    fields = fields_of(value, position, catalogue)
    owner = component_name(value, position)
    component = catalogue.find(owner, position.kinds) if owner and position.kinds else None
    injected = KINDS[component.registry].injected if component else ()
    for name, inner in {**dict.fromkeys(value, Position()), **fields.positions}.items():
        if name in injected and name not in value:
            continue
        held = value.get(name, ABSENT)
        dotted = f"{key}.{name}" if key else str(name)
        if inner.kinds and (held in _EMPTY or isinstance(held, dict | list | tuple)):
            argument = fields.arguments.get(name)
            optional = argument is not None and "None" in (argument.annotation or "")
            yield _Place(dotted, inner.kinds, held, optional)
        if isinstance(held, dict):
            yield from _places(held, inner, dotted, catalogue)
