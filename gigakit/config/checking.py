"""Checking a config from the catalogue alone: all that is wrong, at once, with no heavy import."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gigakit.config.loading import (
    LoadedConfig,
    apply_section,
    catalogue_of,
    load_config,
    section_overrides,
)
from gigakit.config.overrides import Override, apply_override
from gigakit.config.plugins import import_names, is_found
from gigakit.config.problems import Finding, find_problems
from gigakit.config.reading import Reading
from gigakit.core.catalogue import Catalogue
from gigakit.core.errors import ConfigError

SECTIONS = ("sample", "ablation_sample")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config.

    Args:
        where: ``file:line``, or the override.
        key: dotted key.
        what: what was found.
        suggestion: what was probably meant.
    """

    where: str
    key: str
    what: str
    suggestion: str | None = None

    def __str__(self) -> str:
        end = f", did you mean '{self.suggestion}'?" if self.suggestion else ""
        return f"{self.where}: {self.key}: {self.what}{end}"


def check_config(loaded: LoadedConfig) -> list[Problem]:
    """Return everything wrong with a config, its sections and its ablation's cells included.

    Unknown keys, types, arguments; a type of the wrong kind; missing arguments; values that do not
    fit their annotation. Nothing is imported.
    """
    catalogue = catalogue_of(loaded)
    findings = find_problems(loaded.values, catalogue)
    problems = [
        _problem(finding, loaded.origin(_origin_key(finding, loaded))) for finding in findings
    ]
    problems += _custom_imports(loaded)
    # sections and axes belong to the recipe as written: a cell may well not fit another axis's key
    recipe = replace(loaded, values=loaded.recipe.values, origins=loaded.recipe.origins)
    known = {(finding.key, finding.what) for finding in find_problems(recipe.values, catalogue)}
    checker = _Trial(recipe, catalogue, known)
    for section in SECTIONS:
        problems += checker.section(section)
    problems += checker.ablation()
    return sorted(set(problems), key=lambda problem: (_place(problem.where), problem.key))


def all_problems(path_or_name: str | Path, overrides: Sequence[str] = ()) -> list[str]:
    """Return everything wrong with a recipe and the overrides given to it, one line each.

    Raises:
        ConfigError: a file cannot be read at all.
    """
    try:
        return [str(problem) for problem in check_config(load_config(path_or_name, overrides))]
    except ConfigError as error:
        if not overrides:
            raise
        # the overrides do not fit; the recipe may have problems of its own
        return [*str(error).splitlines(), *all_problems(path_or_name)]


def load_checked(
    path_or_name: str | Path, overrides: Sequence[str] = (), *, section: str | None = "sample"
) -> LoadedConfig:
    """Load a recipe, apply the section where it belongs, and refuse it if anything is wrong.

    Raises:
        ConfigError: all problems, one a line.
    """
    problems = all_problems(path_or_name, overrides)
    if problems:
        raise ConfigError("\n".join(problems))
    loaded = load_config(path_or_name, overrides)
    return apply_section(loaded, section) if section else loaded


class _Trial:
    """Values set on a copy of a config, to see what they would break."""

    def __init__(
        self, loaded: LoadedConfig, catalogue: Catalogue, known: set[tuple[str, str]]
    ) -> None:
        self.loaded = loaded
        self.catalogue = catalogue
        self.known = known

    def section(self, name: str) -> Iterator[Problem]:
        """Yield what is wrong with a section of dotted keys, applied as a whole."""
        reading = Reading(copy.deepcopy(self.loaded.values))
        try:
            overrides = section_overrides(self.loaded, name)
        except ConfigError as error:
            yield Problem(str(error.where), name, error.what)
            return
        for override in overrides:
            try:
                apply_override(reading, override, self.catalogue)
            except ConfigError as error:
                key = f"{name}.{override.key}"
                yield Problem(override.origin, key, f"{error.what}; {error.fix}")
        for finding in self._new(reading):
            causes = [o for o in overrides if f"{finding.key}.".startswith(f"{o.key}.")]
            where = causes[-1].origin if causes else self.loaded.origin(name)
            yield replace(_problem(finding, where), key=f"{name}: {finding.key}")

    def ablation(self) -> Iterator[Problem]:
        """Yield what is wrong with the axes of the ``ablation`` section."""
        axes = self.loaded.values.get("ablation") or {}
        for name, axis in axes.items() if isinstance(axes, dict) else ():
            yield from self._axis(f"ablation.{name}", axis)

    def _axis(self, key: str, axis: Any) -> Iterator[Problem]:
        where = self.loaded.origin(key)
        form = _form_of(axis)
        if form is None:
            what = "an axis has a key, and either cells or values; or it has sets"
            yield Problem(where, key, what)
            return
        for name in axis.keys() - {"key", form}:
            yield Problem(self.loaded.origin(f"{key}.{name}"), key, f"an axis has no '{name}'")
        choices = axis[form]
        if not isinstance(choices, _FORMS[form]) or not choices:
            yield Problem(where, key, f"{form} is empty or not a {_kind_of(form)}")
            return
        entries = choices.items() if isinstance(choices, dict) else enumerate(choices)
        for label, value in entries:
            place = f"{key}.{form}.{label}"
            origin = self.loaded.origin(place)
            if form != "sets":
                yield from self._set([Override(axis["key"], value, origin)], place)
            elif isinstance(value, dict):
                yield from self._set([Override(k, v, origin) for k, v in value.items()], place)
            else:
                yield Problem(origin, place, "is not a dict of dotted keys")

    def _set(self, overrides: Sequence[Override], place: str) -> Iterator[Problem]:
        """Yield what is wrong with a cell, all that it sets taken together."""
        reading = Reading(copy.deepcopy(self.loaded.values))
        for override in overrides:
            try:
                apply_override(reading, override, self.catalogue)
            except ConfigError as error:
                yield Problem(override.origin, place, f"{error.what}; {error.fix}")
                return
        for finding in self._new(reading):
            yield replace(_problem(finding, overrides[0].origin), key=f"{place}: {finding.key}")

    def _new(self, reading: Reading) -> list[Finding]:
        """Return what is wrong now and was not before."""
        found = find_problems(reading.values, self.catalogue)
        return [finding for finding in found if (finding.key, finding.what) not in self.known]


def _custom_imports(loaded: LoadedConfig) -> Iterator[Problem]:
    given, key = loaded.values.get("custom_imports"), "custom_imports"
    if given is not None and not import_names(given):
        yield Problem(loaded.origin(key), key, "names nothing; write dict(imports=['file.py'])")
    for name in import_names(given):
        if not is_found(name, loaded.path):
            yield Problem(loaded.origin(key), key, f"'{name}' is neither a module nor a file here")


def _origin_key(finding: Finding, loaded: LoadedConfig) -> str:
    """A component's own problems are shown where its type is named."""
    return f"{finding.key}.type" if f"{finding.key}.type" in loaded.origins else finding.key


def _problem(finding: Finding, where: str) -> Problem:
    return Problem(where, finding.key, finding.what, finding.suggestion)


# how an axis says what it varies
_FORMS = {"cells": dict, "values": list | tuple, "sets": dict}


def _form_of(axis: Any) -> str | None:
    """Return which of the forms an axis has, if it has one and what belongs to it."""
    given = [name for name in _FORMS if isinstance(axis, dict) and name in axis]
    if len(given) != 1 or isinstance(axis.get("key"), str) == (given[0] == "sets"):
        return None
    return given[0]


def _kind_of(name: str) -> str:
    return "list" if name == "values" else "dict"


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (where, 0)
