"""Reading a config: mmengine's text dialect (``_base_``, merged dicts), without running any code.

Differs: names that start with ``_`` are helpers and dropped; no imports, functions, or values taken
from a base (``_base_.x``, ``{{...}}``).
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gigakit.config.expressions import check_plain, evaluate, shown_path
from gigakit.core.errors import ConfigError

BASE = "_base_"
DELETE = "_delete_"
Origins = dict[str, str]


@dataclass
class Reading:
    """What a config file and its bases say.

    Args:
        values: by key, nested.
        origins: ``file:line`` by dotted key, for every key that a file spells out.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)


def read_config(path: Path, including: tuple[Path, ...] = ()) -> Reading:
    """Read a config file and what it inherits from.

    Args:
        path: the file.
        including: the files that include it, outermost first.

    Raises:
        ConfigError: a file is missing, includes itself, or is not in the dialect.
    """
    own, bases, base_line = _read_file(path)
    merged = Reading()
    owners: dict[str, Path] = {}
    for base in bases:
        base_path = _base_path(base, path, f"{shown_path(path)}:{base_line}", including)
        reading = read_config(base_path, (*including, path))
        for key in reading.values:
            if key in owners:
                both = f"{shown_path(owners[key])} and {shown_path(base_path)}"
                raise ConfigError(
                    f"'{key}' is in two bases, {both}",
                    where=f"{shown_path(path)}:{base_line}",
                    fix="keep it in one of them",
                )
            owners[key] = base_path
        merged.values |= reading.values
        merged.origins |= reading.origins
    merge(merged, own)
    return merged


def merge(into: Reading, new: Reading, prefix: str = "") -> None:
    """Merge a reading into another: dicts key by key, everything else replaced.

    A dict with ``_delete_=True`` replaces.

    Raises:
        ConfigError: a dict meets something else.
    """
    _merge_dict(into.values, new.values, into.origins, new.origins, prefix)


def set_origins(origins: Origins, key: str, given: Origins, where: str | None = None) -> None:
    """Forget what is known of a key and below, and take what is given of it."""
    for known in [k for k in origins if k == key or k.startswith(f"{key}.")]:
        del origins[known]
    origins |= {k: v for k, v in given.items() if k == key or k.startswith(f"{key}.")}
    if where is not None:
        origins[key] = where


def _merge_dict(
    into: dict[str, Any], new: dict[str, Any], origins: Origins, given: Origins, prefix: str
) -> None:
    for key, original in new.items():
        dotted = f"{prefix}{key}"
        value = copy.deepcopy(original)
        if isinstance(value, dict) and key in into and not value.pop(DELETE, False):
            if not isinstance(into[key], dict):
                raise ConfigError(
                    f"'{dotted}' is a dict here and a {type(into[key]).__name__} in its base",
                    where=given.get(dotted),
                    fix=f"add {DELETE}=True to replace it",
                )
            if dotted in given:
                origins[dotted] = given[dotted]
            _merge_dict(into[key], value, origins, given, f"{dotted}.")
        else:
            into[key] = value
            set_origins(origins, dotted, given)


def _base_path(base: Any, path: Path, where: str, including: tuple[Path, ...]) -> Path:
    if not isinstance(base, str) or "::" in base:
        raise ConfigError(f"cannot inherit from {base!r}", where=where, fix="name a file beside it")
    found = (path.parent / base).resolve()
    if not found.is_file():
        raise ConfigError(f"no such base: {base}", where=where, fix="mend the path")
    if found in (*including, path):
        raise ConfigError(f"includes itself through {base}", where=where, fix="remove one of them")
    return found


def _read_file(path: Path) -> tuple[Reading, list[Any], int]:
    shown = shown_path(path)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8-sig"), filename=shown)
    except SyntaxError as error:
        raise ConfigError(
            f"{error.msg}: {(error.text or '').strip()}",
            where=f"{shown}:{error.lineno}",
            fix="mend it",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=shown) from error
    names: dict[str, Any] = {}
    lines: dict[str, Origins] = {}
    bases: list[Any] = []
    base_line = 1
    for node in tree.body:
        assigned = _assignment(node, shown)
        if assigned is None:
            continue
        name, expression = assigned
        value = evaluate(expression, names, shown)
        if name == BASE:
            bases, base_line = (
                list(value) if isinstance(value, list | tuple) else [value],
                node.lineno,
            )
            continue
        names[name] = value
        lines[name] = _lines(expression, name, shown, lines) | {name: f"{shown}:{node.lineno}"}
    reading = Reading()
    for name, value in names.items():
        if not name.startswith("_"):
            check_plain(value, lines[name][name])
            reading.values[name] = copy.deepcopy(value)
            reading.origins |= lines[name]
    return reading, bases, base_line


def _assignment(node: ast.stmt, shown: str) -> tuple[str, ast.expr] | None:
    """Return the name and value of an assignment, ``None`` for a docstring."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Name) and not target.id.startswith("__"):
            return target.id, node.value
    kind = "imports" if isinstance(node, ast.Import | ast.ImportFrom) else type(node).__name__
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        kind = "functions and classes"
    raise ConfigError(
        f"a config holds assignments 'name = value' only, no {kind}",
        where=f"{shown}:{node.lineno}",
        fix="write the value, or put code in a module named in custom_imports",
    )


def _lines(node: ast.expr, key: str, shown: str, known: dict[str, Origins]) -> Origins:
    """Map each dotted key that an expression spells out to its ``file:line``."""
    if isinstance(node, ast.Name) and node.id in known:
        return {f"{key}{k.removeprefix(node.id)}": line for k, line in known[node.id].items()}
    origins: Origins = {}
    for name, line, value in _items(node):
        if name is None:
            origins |= _lines(value, key, shown, known)
        else:
            dotted = f"{key}.{name}"
            origins = {k: v for k, v in origins.items() if not k.startswith(f"{dotted}.")}
            origins |= _lines(value, dotted, shown, known) | {dotted: f"{shown}:{line}"}
    return origins


def _items(node: ast.expr) -> list[tuple[Any, int, ast.expr]]:
    """List key, line and value of a dict's or list's elements; key ``None`` for an unpacked one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        given = [(None, arg.lineno, arg) for arg in node.args]
        return given + [
            (k.arg, k.value.lineno if k.arg is None else k.lineno, k.value) for k in node.keywords
        ]
    if isinstance(node, ast.Dict):
        return [
            (key.value if isinstance(key, ast.Constant) else None, value.lineno, value)
            for key, value in zip(node.keys, node.values, strict=True)
        ]
    if isinstance(node, ast.List | ast.Tuple):
        return [(index, item.lineno, item) for index, item in enumerate(node.elts)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [(None, node.lineno, node.left), (None, node.lineno, node.right)]
    return []
