"""The catalogue: what is registered where, with its arguments, read without importing any of it.

A registry's components are those of its own folder, of the plug-ins that packages declare as entry
points, of the files that a config imports, and of the mmengine and torch packages it inherits from.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gigakit.core.errors import ComponentError
from gigakit.core.kinds import KINDS, Kind
from gigakit.core.modules import (
    CACHE,
    Found,
    all_arguments,
    find,
    inherits_from,
    locate,
    python_files,
)
from gigakit.core.source import Argument, Source

LOGGER = logging.getLogger(__name__)
PLUGIN_GROUP = "gigakit.plugins"


@dataclass(frozen=True)
class Component:
    """A registered class or function as its source file declares it.

    Args:
        name: the registered name.
        registry: the registry's name in :mod:`gigakit.registry`.
        module: dotted name of the module that registers it.
        file: that module's file.
        line: line of the definition.
        arguments: what it takes, inherited arguments included.
        open: it takes further arguments that cannot be told from the source.
        docstring: the whole docstring.
        origin: ``gigakit``, the plug-in's name, ``custom_imports``, or the inherited package.
    """

    name: str
    registry: str
    module: str
    file: str
    line: int
    arguments: tuple[Argument, ...] = ()
    open: bool = False
    docstring: str = ""
    origin: str = "gigakit"

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.docstring.strip().partition("\n")[0]

    @property
    def source(self) -> str:
        """What the docstring gives as the component's source in the literature."""
        lines = [line.strip() for line in self.docstring.splitlines()]
        return next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("Source:")), ""
        )


class Catalogue:
    """What configs may name, as the files are when it is first asked.

    Args:
        files: further files that register components, by module name, such as a config's
            ``custom_imports``.
    """

    def __init__(self, files: Iterable[tuple[str, Path]] = ()) -> None:
        self._files = list(files)
        self._known: dict[str, dict[str, Component]] = {}

    def components(self, registry: str) -> dict[str, Component]:
        """Return the components of a registry by name; gigakit's own shadow inherited ones."""
        if registry not in self._known:
            kind = KINDS[registry]
            found: dict[str, Component] = {}
            for package in kind.inherited:
                found |= _inherited(kind, package)
            found |= _registered(kind.name, kind.name, self._files, "custom_imports")
            for plugin, package in self._plugins:
                found |= _registered(kind.name, kind.name, python_files(package), plugin)
            found |= components(kind.name, *kind.packages)
            CACHE.write()
            self._known[registry] = found
        return self._known[registry]

    @functools.cached_property
    def _plugins(self) -> list[tuple[str, str]]:
        # looking through all installed distributions takes longer than reading a registry
        return plugins()

    def find(self, name: str, registries: Sequence[str]) -> Component | None:
        """Return the component of a name from the first of some registries that has it."""
        bare = name.removeprefix("gigakit.").removeprefix("mmengine.")
        for registry in registries:
            if component := self.components(registry).get(bare):
                return component
        return None

    def kinds_of(self, name: str) -> list[Kind]:
        """Return the kinds in which a name is registered."""
        return [kind for kind in KINDS.values() if name in self.components(kind.name)]

    def nearest(self, name: str, registries: Sequence[str]) -> str | None:
        """Return the registered name most like a misspelt one, or ``None``."""
        return nearest(name, [known for r in registries for known in self.components(r)])


def components(registry: str, *packages: str) -> dict[str, Component]:
    """Return the components that packages' modules register in a registry, by name."""
    found: dict[str, Component] = {}
    for package in packages:
        origin = package.partition(".")[0]
        found |= _registered(registry, registry, python_files(package), origin)
    CACHE.write()
    return found


def plugins() -> list[tuple[str, str]]:
    """Return the name and package of each installed plug-in.

    A plug-in is an entry point of the group ``gigakit.plugins`` whose value is a package or module.
    """
    points = importlib.metadata.entry_points(group=PLUGIN_GROUP)
    return sorted({(point.name, point.value.partition(":")[0].strip()) for point in points})


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a misspelt one, or ``None``."""
    found = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_component(name: str, kind: Kind, catalogue: Catalogue) -> ComponentError:
    """Return the error for a name that is not registered: where it was looked for, what is near."""
    places = [*kind.packages, *(package for _, package in plugins()), *kind.inherited]
    close = catalogue.nearest(name, [kind.name])
    elsewhere = [other.label for other in catalogue.kinds_of(name)]
    fix = f"did you mean '{close}'?" if close else f"see: gigakit list {kind.label}"
    if elsewhere:
        fix = f"it is registered as {', '.join(elsewhere)}"
    return ComponentError(
        f"'{name}' is not a registered {kind.label} (looked in {', '.join(places)})", fix=fix
    )


def _registered(
    registry: str, recorded: str, files: Iterable[tuple[str, Path]], origin: str
) -> dict[str, Component]:
    """Read the components that files register under ``recorded``, as components of ``registry``."""
    found = {}
    for module, path in files:
        source = _read(module, path)
        if source is None:
            continue
        for name, target in _names(source, recorded):
            if target in source.definitions:
                where = Found(source.definitions[target], module, path, source)
            else:
                elsewhere = find(_origin(target, source))
                if elsewhere is None:
                    found[name] = Component(
                        name, registry, module, str(path), 1, open=True, origin=origin
                    )
                    continue
                where = elsewhere
            found[name] = _component(name, registry, module, where, origin)
    return found


def _read(module: str, path: Path) -> Source | None:
    try:
        return CACHE.read(path, module)
    except (SyntaxError, UnicodeDecodeError) as error:
        LOGGER.warning("%s is not read for components: %s", path, error)
        return None


def _names(source: Source, registry: str) -> Iterator[tuple[str, str]]:
    for definition in source.definitions.values():
        for where, name in definition.registered:
            if where == registry:
                yield name, definition.name
    for where, name, target in source.registrations:
        if where == registry:
            yield name, target


def _origin(target: str, source: Source) -> str:
    head, _, rest = target.partition(".")
    origin = source.imports.get(head, head)
    return f"{origin}.{rest}" if rest else origin


def _component(name: str, registry: str, module: str, found: Found, origin: str) -> Component:
    arguments, is_open = all_arguments(found)
    return Component(
        name=name,
        registry=registry,
        module=module,
        file=str(found.path),
        line=found.definition.line,
        arguments=arguments,
        open=is_open,
        docstring=inspect.cleandoc(found.definition.docstring),
        origin=origin,
    )


def _inherited(kind: Kind, package: str) -> dict[str, Component]:
    if package.partition(".")[0] == "torch":
        return _torch_optimizers(kind.name, package)
    return _registered(kind.name, kind.root or kind.name, python_files(package), package)


def _torch_optimizers(registry: str, package: str) -> dict[str, Component]:
    """Read the optimizer classes that mmengine registers from ``torch.optim``."""
    file = locate(package)
    source = _read(package, file) if file else None
    if source is None:
        return {}
    components = {}
    for name, origin in source.imports.items():
        found = find(origin)
        if found and found.definition.bases and inherits_from(found, "Optimizer"):
            # mmengine keeps the plain name for the one of transformers
            registered = "TorchAdafactor" if name == "Adafactor" else name
            components[registered] = _component(registered, registry, package, found, package)
    return components
