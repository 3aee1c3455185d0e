"""Overrides: ``--set model.mask_ratio=0.5``. An unknown key is an error, not a new key."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import Any

from gigakit.config.expressions import evaluate
from gigakit.config.positions import Fields, Position, fields_of, top_level
from gigakit.config.reading import DELETE, Reading, set_origins
from gigakit.core.catalogue import Catalogue, nearest
from gigakit.core.errors import ConfigError

KEEP = "_keep_"
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Override:
    """One value to set.

    Args:
        key: dotted; a number is a list's index.
        value: what to set.
        origin: where it was asked for.
    """

    key: str
    value: Any
    origin: str

    @property
    def where(self) -> str:
        """How an error names it."""
        return (
            f"--set {self.key}" if self.origin.startswith("--set") else f"{self.origin}: {self.key}"
        )


def parse_override(text: str) -> Override:
    """Read ``key=value``; the value is a Python literal or ``dict(...)``, else text.

    Raises:
        ConfigError: there is no ``=``.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"cannot read '{text}'", where="--set", fix="write --set key=value")
    return Override(key, _value(value.strip(), f"--set {key}"), f"--set {text}")


def _value(text: str, where: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    try:
        if text.startswith("dict("):
            return evaluate(ast.parse(text, mode="eval").body, {}, where)
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def apply_override(reading: Reading, override: Override, catalogue: Catalogue) -> None:
    """Set one value in place.

    A dict merges with the dict it meets unless it is empty or names another ``type``; then it
    replaces it. ``_keep_=["encoder"]`` in it names what is kept of the old one all the same, and
    merged with: a cell can put another objective around the recipe's own encoder.

    Raises:
        ConfigError: the key is unknown, or a dict would become something else than ``None``.
    """
    holder: Any = reading.values
    position = top_level(catalogue)
    done: list[str] = []
    rest = override.key.split(".")
    while rest:
        step = _step(holder, rest)
        rest = rest[step.count(".") + 1 :]
        if rest:
            holder, position = _enter(holder, step, position, catalogue, done, override)
        else:
            _set(holder, step, position, catalogue, reading, override)
        done.append(step)


def _step(holder: Any, rest: list[str]) -> str:
    """Return the next key: the longest one that exists, as keys of ``sample`` hold dots."""
    if isinstance(holder, dict):
        for count in range(len(rest), 1, -1):
            if ".".join(rest[:count]) in holder:
                return ".".join(rest[:count])
    return rest[0]


def _enter(
    holder: Any,
    step: str,
    position: Position,
    catalogue: Catalogue,
    done: list[str],
    override: Override,
) -> tuple[Any, Position]:
    if isinstance(holder, list | tuple):
        return holder[_index(holder, step, override)], position
    if not isinstance(holder, dict):
        raise ConfigError(
            f"'{'.'.join(done)}' is {_shown(holder)}, it has no keys",
            where=override.where,
            fix="set it to a dict first",
        )
    fields = fields_of(holder, position, catalogue)
    inner = fields.positions.get(step, Position())
    if step not in holder:
        if not inner.may_be_empty:
            raise _unknown(holder, step, fields, [*done, step], override)
        holder[step] = {}
    return holder[step], inner


def _set(
    holder: Any,
    step: str,
    position: Position,
    catalogue: Catalogue,
    reading: Reading,
    override: Override,
) -> None:
    value = copy.deepcopy(override.value)
    if isinstance(holder, list):
        index = _index(holder, step, override)
        holder[index] = _combined(holder[index], value, reading, override)
        return
    if not isinstance(holder, dict):
        raise ConfigError(
            f"{_shown(holder)} has no key '{step}'", where=override.where, fix="set the whole value"
        )
    if step not in holder:
        fields = fields_of(holder, position, catalogue)
        if step not in fields.positions and not (fields.open and fields.component):
            raise _unknown(holder, step, fields, override.key.split("."), override)
    holder[step] = _combined(holder.get(step), value, reading, override)


def _combined(old: Any, new: Any, reading: Reading, override: Override) -> Any:
    if isinstance(new, dict):
        kept = _kept(old, new, override)
        if kept is not None:
            merged = dict(kept)
            for key, value in new.items():
                below = Override(f"{override.key}.{key}", value, override.origin)
                merged[key] = _combined(kept.get(key), value, reading, below)
            return merged
    elif isinstance(old, dict) and new is not None:
        raise ConfigError(
            f"holds a dict, got {_shown(new)}",
            where=override.where,
            fix="set one of its keys, a dict, or null",
        )
    set_origins(reading.origins, override.key, {}, override.origin)
    return new


def _kept(old: Any, new: dict[str, Any], override: Override) -> dict[str, Any] | None:
    """Return what of an old value a dict merges with, ``None`` where it replaces it.

    Marks are taken out of the new one.
    """
    names = new.pop(KEEP, None)
    if names is not None and not isinstance(names, list | tuple):
        raise ConfigError(
            f"{KEEP} is {_shown(names)}", where=override.where, fix="give a list of keys"
        )
    if not isinstance(old, dict) or (not new and names is None) or new.pop(DELETE, False):
        return None
    if names is not None:
        return {name: old[name] for name in names if name in old}
    return old if "type" not in new or new["type"] == old.get("type") else None


def _index(holder: Any, step: str, override: Override) -> int:
    if not step.isdigit() or int(step) >= len(holder):
        raise ConfigError(
            f"'{step}' is no index of a list of {len(holder)}",
            where=override.where,
            fix=f"give 0 to {len(holder) - 1}" if holder else "set the whole list",
        )
    return int(step)


def _unknown(
    holder: dict[str, Any], step: str, fields: Fields, path: list[str], override: Override
) -> ConfigError:
    dotted = ".".join(path)
    if step in fields.positions:
        return ConfigError(
            f"'{dotted}' is not set in this config",
            where=override.where,
            fix=f"give it whole, as in --set \"{dotted}=dict(type='...')\"",
        )
    names = {*holder, *fields.positions}
    close = nearest(step, names)
    owner = fields.component.name if fields.component else ".".join(path[:-1]) or "the config"
    return ConfigError(
        f"{owner} has no {'argument' if fields.component else 'key'} '{step}'",
        where=override.where,
        fix=f"did you mean '{close}'?" if close else "known are " + ", ".join(sorted(names)),
    )


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value!r} ({type(value).__name__})"
