"""Axes: the choices that an ablation varies, from the recipe and from the registries."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gigakit.config import ABSENT
from gigakit.config.expressions import evaluate
from gigakit.config.overrides import KEEP
from gigakit.core.catalogue import Catalogue, Component
from gigakit.core.errors import ConfigError
from gigakit.core.kinds import ARGUMENT_KINDS, KINDS, Kind

NONE = "none"
# what the columns of results are called beside the axes
_COLUMNS = ("cell", "seed", "status", "n", "steps", "seconds", "parameters", "metrics", "notes")


@dataclass(frozen=True)
class Axis:
    """One choice and the values it may take.

    Args:
        name: as the recipe calls it, such as ``mask_ratio``; its flag is ``--mask-ratio``.
        key: dotted config key that it sets, such as ``model.mask_ratio``; ``None`` where each cell
            sets several keys.
        cells: values by label, as the recipe declares them; without a key, values by dotted key.
        open_values: any literal is a value, not just the declared ones.
        registry: the registry of what the key holds; ``None`` finds it by the key's name.
        current: the component that the key holds; another one takes over the arguments that both
            have. Empty: it takes over nothing.
        members: where the key holds a list, the config's own components in it by name; names joined
            by ``+`` are a value then.
    """

    name: str
    key: str | None
    cells: Mapping[str, Any] = field(default_factory=dict)
    open_values: bool = False
    registry: str | None = None
    current: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, Any] | None = None

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def kind(self) -> Kind | None:
        """The kind of component that the key holds, if it holds one."""
        if self.registry is not None:
            return KINDS[self.registry]
        names = [name for name in (self.key or "").split(".") if name and not name.isdigit()]
        known = ("OBJECTIVES",) if names == ["model"] else ARGUMENT_KINDS.get("".join(names[-1:]))
        return KINDS[known[0]] if known else None

    @property
    def keys(self) -> tuple[str, ...]:
        """All config keys that its cells set."""
        if self.key is not None:
            return (self.key,)
        return tuple(dict.fromkeys(key for cell in self.cells.values() for key in cell))


@dataclass(frozen=True)
class Choice:
    """One value of one axis."""

    axis: Axis
    label: str
    value: Any

    @property
    def settings(self) -> dict[str, Any]:
        """What it sets, by dotted config key; nothing, where it leaves the config as it is."""
        if self.value is ABSENT:
            return {}
        return dict(self.value) if self.axis.key is None else {self.axis.key: self.value}


def recipe_axes(values: Mapping[str, Any]) -> dict[str, Axis]:
    """Return the axes that a recipe declares in its ``ablation`` section, by name.

    An axis is ``dict(key="a.b", cells={label: value})``, ``dict(key="a.b", values=[...])``, or,
    where a choice is a matter of several keys, ``dict(sets={label: {"a.b": value, "c": value}})``.
    """
    axes = {}
    for name, declared in values.get("ablation", {}).items():
        if "sets" in declared:
            axes[name] = Axis(name, None, declared["sets"])
            continue
        cells = declared.get("cells")
        if cells is None:
            cells = {value_label(value): value for value in declared["values"]}
        axes[name] = Axis(name, declared["key"], cells, open_values="values" in declared)
    return axes


def free_axis(text: str, taken: Collection[str] = ()) -> tuple[Axis, str]:
    """Split ``key=v1,v2`` into an axis over any config key and the text of its values.

    Args:
        text: what the user wrote.
        taken: names of other axes; the key's last part names it, with more of the key where that
            is no name of its own.

    Raises:
        ConfigError: the text has another form.
    """
    key, equals, chosen = text.partition("=")
    if not equals or not key or not chosen:
        raise ConfigError(f"cannot read '{text}'", where="--axis", fix="write --axis key=v1,v2")
    parts = key.split(".")
    names = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    used = {*taken, *_COLUMNS}
    name = next((name for name in names if name not in used and not name[0].isdigit()), key)
    return Axis(name, key, open_values=True), chosen


def choose(axis: Axis, text: str, catalogue: Catalogue | None = None) -> list[Choice]:
    """Return the choices named by a comma-separated text.

    A name is looked up among the recipe's cells first, then among the registered components of the
    axis's kind: ``MyAttention`` stands for ``dict(type="MyAttention")``, and arguments may follow,
    as in ``MyAttention(reach=8)``. Where the axis is open, it is read as a literal at last.

    Args:
        axis: the axis.
        text: values as the user wrote them.
        catalogue: what is registered; by default gigakit's and its plug-ins' components.

    Raises:
        ConfigError: a value is unknown, or named twice.
    """
    known = catalogue or Catalogue()
    chosen = [_choice(axis, label, known) for label in split_values(text)]
    labels = [choice.label for choice in chosen]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled or not chosen:
        found = f"'{doubled[0]}' is named twice" if doubled else "no value is given"
        raise ConfigError(found, where=axis.flag, fix="name each value once")
    return chosen


def split_values(text: str) -> list[str]:
    """Split at the commas that are outside brackets: ``1,(2,3)`` has two values."""
    return _split(text, ",")


def _split(text: str, separator: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _choice(axis: Axis, label: str, catalogue: Catalogue) -> Choice:
    if label in axis.cells:
        return Choice(axis, label, axis.cells[label])
    registered = catalogue.components(axis.kind.name) if axis.kind else {}
    named = _named(axis, label, registered)
    if named is not None:
        return Choice(axis, label, named)
    if axis.open_values:
        try:
            return Choice(axis, label, ast.literal_eval(label))
        except (ValueError, SyntaxError):
            # a bare word is text, unless it can only be a misspelt component
            if not registered:
                return Choice(axis, label, label)
    raise ConfigError(
        f"'{label}' is not a value of this axis",
        where=axis.flag,
        fix=_suggestion(label, [*axis.cells, *registered]),
    )


def _named(axis: Axis, label: str, registered: Mapping[str, Component]) -> Any:
    """Return the component, or the list of components, that a label names, if it names any."""
    if axis.members is None:
        return _component(label, registered, axis.current)
    parts = []
    for text in _split(label, "+"):
        part = _component(text, registered, {})
        parts.append(axis.members[text] if part and text in axis.members else part)
    return None if not parts or None in parts else parts


def _component(
    text: str, registered: Mapping[str, Component], current: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the config of ``Name`` or ``Name(argument=value)``; ``None`` for an unknown name.

    Args:
        text: what the user wrote.
        registered: components by name.
        current: the component in whose place it comes.
    """
    name, opening, given = text.partition("(")
    if name not in registered:
        return None
    config: dict[str, Any] = {"type": name}
    if current and name != current.get("type"):
        taken = {argument.name for argument in registered[name].arguments}
        config[KEEP] = [key for key in current if key in taken]
    if opening:
        try:
            config |= evaluate(ast.parse(f"dict({given}", mode="eval").body, {}, text)
        except SyntaxError as error:
            fix = f"write {name}(argument=value)"
            raise ConfigError(f"cannot read '{text}'", fix=fix) from error
    return config


def _suggestion(label: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(label, known, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else "choose from " + ", ".join(known)


def value_label(value: Any) -> str:
    """Return a plain value as a label."""
    return str(value).replace(" ", "")
