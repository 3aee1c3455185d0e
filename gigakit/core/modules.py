"""Where modules lie and what their classes inherit, found without importing any of them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gigakit.core.source import Argument, Definition, Source
from gigakit.core.source_cache import SourceCache

CACHE = SourceCache()

# bases from elsewhere whose constructors take nothing that a config gives
_PLAIN_BASES = {
    "object",
    "ABC",
    "Protocol",
    "Generic",
    "NamedTuple",
    "Module",
    "Dataset",
    "Sampler",
}
_MAX_REEXPORTS = 5


@dataclass(frozen=True)
class Found:
    """A definition and the module it is in."""

    definition: Definition
    module: str
    path: Path
    source: Source


@functools.cache
def _top_level(name: str) -> tuple[Path, ...]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations:
        return tuple(Path(place) for place in spec.submodule_search_locations)
    return (Path(spec.origin),) if spec.origin and spec.origin.endswith(".py") else ()


def locate(module: str) -> Path | None:
    """Return the file of a module, or ``None``; no package of it is imported."""
    top, *parts = module.split(".")
    for root in _top_level(top):
        if not parts and root.is_file():
            return root
        base = root.joinpath(*parts)
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def python_files(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and file of every module of a package, or of the one module."""
    file = locate(package)
    if file is None:
        # a folder whose first component is yet to come may lack its __init__
        return
    if file.name != "__init__.py":
        yield package, file
        return
    for path in sorted(file.parent.rglob("*.py")):
        parts = path.relative_to(file.parent).with_suffix("").parts
        yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def find(dotted: str, depth: int = _MAX_REEXPORTS) -> Found | None:
    """Return the class or function of a dotted name, following re-exports, or ``None``."""
    module, _, name = dotted.rpartition(".")
    path = locate(module) if module else None
    if path is None or depth == 0:
        return None
    try:
        source = CACHE.read(path, module)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    if name in source.definitions:
        return Found(source.definitions[name], module, path, source)
    origin = source.imports.get(name)
    return find(origin, depth - 1) if origin and origin != dotted else None


def all_arguments(found: Found) -> tuple[tuple[Argument, ...], bool]:
    """Return the arguments a class or function takes, inherited ones included.

    A ``**kwargs`` that is handed to the next class is closed by that class's arguments, less those
    the call supplies itself.

    Returns:
        The arguments, and whether others may be given too.
    """
    collected: dict[str, Argument] = {}
    given: set[str] = set()
    skip = 0
    for step in _linearised(found):
        if step is None:
            return tuple(collected.values()), True
        signature = step.definition.signature
        if signature is None:
            continue
        for index, argument in enumerate(signature.arguments):
            by_position = index < min(skip, signature.positional)
            if not by_position and argument.name not in given:
                collected.setdefault(argument.name, _spelled_out(argument, step))
        if signature.open or not signature.forwards:
            return tuple(collected.values()), signature.open
        given |= set(signature.supplied)
        skip = signature.supplied_positional
    return tuple(collected.values()), False


def inherits_from(found: Found, name: str) -> bool:
    """Tell whether a class is, or derives from, a class of a name."""
    return any(step is not None and step.definition.name == name for step in _linearised(found))


def _linearised(found: Found) -> list[Found | None]:
    """List a class and its bases in the order of their constructors; ``None`` if unreadable."""
    steps: list[Found | None] = [found]
    for base in found.definition.bases:
        if base.rpartition(".")[2] in _PLAIN_BASES:
            continue
        target = _resolve(base, found)
        steps += _linearised(target) if target else [None]
    names = [(step.module, step.definition.name) if step else None for step in steps]
    # a base shared by two parents comes once, after both
    return [
        step
        for index, step in enumerate(steps)
        if names[index] is None or names[index] not in names[index + 1 :]
    ]


def _resolve(base: str, found: Found) -> Found | None:
    head, _, rest = base.partition(".")
    if not rest and head in found.source.definitions:
        return replace(found, definition=found.source.definitions[head])
    origin = found.source.imports.get(head)
    if origin is None:
        return None
    return find(f"{origin}.{rest}" if rest else origin)


def _spelled_out(argument: Argument, found: Found) -> Argument:
    """Replace an annotation or a default that names an alias or a constant of the same package."""
    return replace(
        argument,
        annotation=_meaning(argument.annotation, found),
        default=_meaning(argument.default, found),
    )


def _meaning(text: str | None, found: Found) -> str | None:
    """Return what a name stands for, where its file or one that it is imported from says so."""
    if text is None or not text.isidentifier():
        return text
    if text in found.source.aliases:
        return found.source.aliases[text]
    module, _, name = found.source.imports.get(text, "").rpartition(".")
    same_package = module.partition(".")[0] == found.module.partition(".")[0]
    path = locate(module) if module and same_package else None
    return CACHE.read(path, module).aliases.get(name, text) if path else text
