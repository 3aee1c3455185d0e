"""A static reading of each registry's folder: what is registered where, without importing it."""

from __future__ import annotations

import ast
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Component:
    """A registered class or function as its source file declares it."""

    name: str
    registry: str
    module: str
    file: str
    line: int


@functools.cache
def components(registry: str, package: str) -> dict[str, Component]:
    """Return the components a package's modules register in a registry, by registered name."""
    found: dict[str, Component] = {}
    for module, path in _modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and _registers(node, registry):
                found[node.name] = Component(node.name, registry, module, str(path), node.lineno)
    return found


def _modules(package: str) -> list[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return []
    roots = list(spec.submodule_search_locations or ()) if spec else []
    return [
        (f"{package}.{path.stem}" if path.stem != "__init__" else package, path)
        for root in roots
        for path in sorted(Path(root).glob("*.py"))
    ]


def _registers(node: ast.ClassDef | ast.FunctionDef, registry: str) -> bool:
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (
            isinstance(call, ast.Attribute)
            and call.attr == "register_module"
            and isinstance(call.value, ast.Name)
            and call.value.id == registry
        ):
            return True
    return False
