"""Loading a config: a recipe, the sections that apply to it, then the user's overrides."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gigakit.config.overrides import Override, apply_override, parse_override
from gigakit.config.plugins import imported_files
from gigakit.config.reading import Origins, Reading, read_config, set_origins
from gigakit.config.recipes import find_recipe, recipe_name
from gigakit.core.catalogue import Catalogue
from gigakit.core.errors import ConfigError


@dataclass(frozen=True)
class LoadedConfig:
    """A recipe as read and overridden.

    Args:
        path: the recipe's file.
        name: its name, such as ``tiny/slide``.
        values: everything it sets, as plain nested dicts.
        origins: ``file:line`` or the override, by dotted key.
        overrides: the user's, as given.
        preset: values set before the user's, by dotted key.
        sections: sections applied by :func:`apply_section`.
        recipe: what the files say, before any override.
    """

    path: Path
    name: str
    values: dict[str, Any]
    origins: Origins
    overrides: tuple[str, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)
    sections: tuple[str, ...] = ()
    recipe: Reading = field(default_factory=Reading, repr=False)

    def origin(self, key: str) -> str:
        """Return where a key's value, or the value it is part of, comes from."""
        while key and key not in self.origins:
            key = key.rpartition(".")[0]
        return self.origins.get(key, str(self.path))


def load_config(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    preset: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """Read a recipe and apply overrides; nothing is imported or built.

    Args:
        path_or_name: a path, or the name of a recipe that ships with gigakit.
        overrides: the user's, each ``key=value``.
        preset: values by dotted key, set before the user's.

    Raises:
        ConfigError: a file or an override cannot be used; several overrides are reported at once.
    """
    path = find_recipe(path_or_name)
    recipe = read_config(path)
    empty = LoadedConfig(path, recipe_name(path), {}, {}, recipe=recipe)
    return _resolved(replace(empty, overrides=tuple(overrides), preset=dict(preset or {})))


def apply_section(loaded: LoadedConfig, section: str) -> LoadedConfig:
    """Apply ``sample`` or ``ablation_sample`` where the cohort is the sample; else change nothing.

    A section maps dotted keys to values. The user's overrides win over it. Applied, it is no longer
    part of the values: what is written of them means the same when it is read again.

    Raises:
        ConfigError: a key of the section is unknown.
    """
    if section in loaded.sections or not uses_sample(loaded.values) or section not in loaded.values:
        return loaded
    return _resolved(replace(loaded, sections=(*loaded.sections, section)))


def uses_sample(values: Mapping[str, Any]) -> bool:
    """Tell whether a config trains on the sample slide."""
    ready = values.get("features") or values.get("tiles")
    return values.get("cohort") == "sample" and not ready


def catalogue_of(loaded: LoadedConfig) -> Catalogue:
    """Return the catalogue of a config, with the files it imports."""
    return Catalogue(imported_files(loaded.values.get("custom_imports"), loaded.path))


def section_overrides(loaded: LoadedConfig, section: str) -> list[Override]:
    """Return what a section sets.

    Raises:
        ConfigError: it is no dict of dotted keys.
    """
    entries = loaded.values.get(section) or {}
    if not isinstance(entries, dict):
        raise ConfigError(
            "is not a dict of dotted keys", where=loaded.origin(section), fix='write {"a.b": value}'
        )
    return [
        Override(key, value, loaded.origin(f"{section}.{key}")) for key, value in entries.items()
    ]


def _resolved(loaded: LoadedConfig) -> LoadedConfig:
    preset = [Override(key, value, "preset") for key, value in loaded.preset.items()]
    user, problems = _parsed(loaded.overrides)
    plain, found = _applied(loaded, [*preset, *user])
    problems += found
    _raise(problems)
    sections = [entry for name in loaded.sections for entry in section_overrides(plain, name)]
    if not sections:
        return plain
    full, problems = _applied(loaded, [*preset, *sections, *user])
    _raise(problems)
    for name in loaded.sections:
        full.values.pop(name, None)
        set_origins(full.origins, name, {})
    return full


def _parsed(texts: Sequence[str]) -> tuple[list[Override], list[ConfigError]]:
    parsed, problems = [], []
    for text in texts:
        try:
            parsed.append(parse_override(text))
        except ConfigError as error:
            problems.append(error)
    return parsed, problems


def _applied(
    loaded: LoadedConfig, overrides: Sequence[Override]
) -> tuple[LoadedConfig, list[ConfigError]]:
    reading = copy.deepcopy(loaded.recipe)
    catalogue = catalogue_of(replace(loaded, values=reading.values))
    problems = []
    for override in overrides:
        try:
            apply_override(reading, override, catalogue)
        except ConfigError as error:
            problems.append(error)
    return replace(loaded, values=reading.values, origins=reading.origins), problems


def _raise(problems: Sequence[ConfigError]) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems))
