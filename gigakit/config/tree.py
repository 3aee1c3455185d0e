"""A config as a tree of components: what stands at each place, where from, and what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigakit.config.loading import LoadedConfig, catalogue_of
from gigakit.config.positions import ANYTHING, Position, component_name, fields_of, top_level
from gigakit.core.catalogue import Catalogue
from gigakit.core.kinds import KINDS

# they name what a run may be changed to, not what it is made of
_SECTIONS = ("sample", "ablation", "ablation_sample")


@dataclass(frozen=True)
class Node:
    """One place of a config that holds a component, or leads to some.

    Args:
        key: the last part of its dotted key; a number in a list.
        type: name of the component, ``None`` where the place only leads to others.
        kind: the component's kind, such as ``attention``.
        origin: ``file:line``, or the override that put it there.
        summary: first line of the component's docstring.
        children: the places inside it.
    """

    key: str
    type: str | None
    kind: str | None
    origin: str
    summary: str
    children: tuple[Node, ...] = ()


def component_tree(loaded: LoadedConfig) -> list[Node]:
    """Return the components of a config, nested as they are built.

    Components that a config leaves to their defaults are shown where their arguments are given.
    """
    catalogue = catalogue_of(loaded)
    plain = {key: value for key, value in loaded.values.items() if key not in _SECTIONS}
    return list(_children(plain, top_level(catalogue), "", loaded, catalogue))


def _children(
    value: Mapping[str, Any],
    position: Position,
    key: str,
    loaded: LoadedConfig,
    catalogue: Catalogue,
) -> Iterator[Node]:
    positions = fields_of(value, position, catalogue).positions
    for name, item in value.items():
        below = f"{key}.{name}" if key else str(name)
        yield from _nodes(item, positions.get(name, ANYTHING), below, loaded, catalogue)


def _nodes(
    value: Any, position: Position, key: str, loaded: LoadedConfig, catalogue: Catalogue
) -> Iterator[Node]:
    name, kind, summary = None, None, ""
    children: list[Node] = []
    if isinstance(value, dict):
        children = list(_children(value, position, key, loaded, catalogue))
        name = component_name(value, position)
        known = fields_of(value, position, catalogue).component
        if known is not None:
            kind, summary = KINDS[known.registry].label, known.summary
    elif isinstance(value, list | tuple):
        items = (
            _nodes(item, position, f"{key}.{index}", loaded, catalogue)
            for index, item in enumerate(value)
        )
        children = [node for nodes in items for node in nodes]
    if name is not None or children:
        place = f"{key}.type" if f"{key}.type" in loaded.origins else key
        origin = loaded.origin(place)
        yield Node(key.rpartition(".")[2], name, kind, origin, summary, tuple(children))
