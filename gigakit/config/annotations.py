"""Does a config value fit an argument's annotation? Only what is plainly wrong is refused."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

_SEQUENCES = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set", "Set"}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "ConfigDict"}
_SCALARS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
}


def fits(value: Any, annotation: str) -> bool:
    """Tell whether a value may be given where the annotation stands.

    A list may stand for a tuple and an int for a float; names that are not built in fit anything.
    """
    tree = _parse(annotation)
    return tree is None or _fits(value, tree)


def choices(annotation: str) -> list[Any]:
    """Return the values that an annotation's ``Literal`` parts allow."""
    tree = _parse(annotation)
    if tree is None:
        return []
    return [
        item.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and _name(node.value) == "Literal"
        for item in _parts(node.slice)
        if isinstance(item, ast.Constant)
    ]


@functools.cache
def _parse(annotation: str) -> ast.expr | None:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None


def _fits(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        # None, or a quoted annotation
        inner = _parse(node.value) if isinstance(node.value, str) else None
        return _fits(value, inner) if inner is not None else value is node.value
    if isinstance(node, ast.BinOp):
        return _fits(value, node.left) or _fits(value, node.right)
    if isinstance(node, ast.Subscript):
        return _fits_subscript(value, _name(node.value), _parts(node.slice))
    name = _name(node)
    if name in _SEQUENCES:
        return isinstance(value, list | tuple)
    if name in _MAPPINGS:
        return isinstance(value, dict)
    return _SCALARS[name](value) if name in _SCALARS else True


def _fits_subscript(value: Any, name: str, parts: list[ast.expr]) -> bool:
    if name in ("Optional", "Union"):
        none = name == "Optional" and value is None
        return none or any(_fits(value, part) for part in parts)
    if name == "Literal":
        return any(isinstance(part, ast.Constant) and part.value == value for part in parts)
    if name in _SEQUENCES:
        return isinstance(value, list | tuple) and _fits_items(value, name, parts)
    return isinstance(value, dict) if name in _MAPPINGS else True


def _fits_items(value: list[Any] | tuple[Any, ...], name: str, parts: list[ast.expr]) -> bool:
    if name in ("tuple", "Tuple") and not _endless(parts):
        return len(value) == len(parts) and all(map(_fits, value, parts))
    return all(_fits(item, parts[0]) for item in value)


def _endless(parts: list[ast.expr]) -> bool:
    return isinstance(parts[-1], ast.Constant) and parts[-1].value is ...


def _parts(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
