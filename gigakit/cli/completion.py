"""What a shell offers for the values of arguments; answered without importing torch or mmengine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from gigakit.ablation.axes import Axis

Offer = Iterator[tuple[str, str]]
_DEFAULT_RECIPE = "gigapath_slide"


def completed_words() -> list[str] | None:
    """Return the words of the line that a shell wants completed, or ``None`` where none asks.

    The flags of ``ablate`` depend on the recipe on that line, so it is read before Typer reads it.
    """
    if "_GIGAKIT_COMPLETE" not in os.environ:
        return None
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    try:
        words = shlex.split(line)
    except ValueError:
        # a quote that is still open
        words = line.split()
    return words[1:]


def complete_recipe(incomplete: str) -> Offer:
    """Offer the recipes that ship with gigakit; paths are the shell's own."""
    from gigakit.config.recipes import ENCODERS, recipes

    names = [name for name in recipes() if not name.startswith(f"{ENCODERS}/")]
    yield from _starting(incomplete, dict.fromkeys(names, ""))


def complete_encoder(incomplete: str) -> Offer:
    """Offer the published encoders, and gigakit's own."""
    from gigakit.config.recipes import ENCODERS, recipes
    from gigakit.core.assets import own_encoders

    begin = f"{ENCODERS}/"
    published = {k.removeprefix(begin): "" for k in recipes() if k.startswith(begin)}
    yield from _starting(incomplete, {**published, **dict.fromkeys(own_encoders(), "")})


def complete_kind(incomplete: str) -> Offer:
    """Offer the kinds that ``gigakit list`` knows."""
    from gigakit.cli.list import FURTHER
    from gigakit.core.kinds import KINDS

    known = {kind.label: kind.package for kind in KINDS.values()}
    yield from _starting(incomplete, {**known, **FURTHER})


def complete_makeable(incomplete: str) -> Offer:
    """Offer the kinds that ``gigakit new`` makes."""
    from gigakit.cli.new_kinds import MAKEABLE

    yield from _starting(incomplete, {label: made.kind.package for label, made in MAKEABLE.items()})


def complete_name(ctx: typer.Context, incomplete: str) -> Offer:
    """Offer the names of the kind that stands before."""
    from gigakit.core.catalogue import Catalogue
    from gigakit.core.kinds import kind_by_label

    label = str(ctx.params.get("kind") or "").removesuffix("s")
    if label in ("recipe", "axi", "axe"):
        yield from complete_recipe(incomplete)
    elif label == "encoder":
        yield from complete_encoder(incomplete)
    elif kind := kind_by_label(label):
        found = Catalogue().components(kind.name)
        yield from _starting(incomplete, {name: c.summary for name, c in found.items()})


def complete_override(incomplete: str) -> Offer:
    """Offer the dotted keys of the recipe on the line, or of the one that commands default to."""
    from gigakit.config import load_config
    from gigakit.config.writing import flat_items, value_text

    if "=" in incomplete:
        return
    values = load_config(_recipe_on_the_line() or _DEFAULT_RECIPE).values
    known = {f"{key}=": value_text(value) for key, value in flat_items(values)}
    yield from _starting(incomplete, known)


def _recipe_on_the_line() -> str | None:
    """Return the first word that names a recipe; Typer parses no line that ends amid an option."""
    from gigakit.config import load_config
    from gigakit.core.errors import ConfigError

    for word in completed_words() or ():
        # a slide may be too large to be looked into
        if word.startswith("-") or "=" in word or Path(word).suffix not in ("", ".py"):
            continue
        try:
            load_config(word)
        except ConfigError:
            # a command, a cohort, or the value of another option
            continue
        return word
    return None


def axis_completion(axis: Axis) -> Callable[[str], Offer]:
    """Return what offers an axis's values; after a comma, the ones that are not named yet."""

    def offer(incomplete: str) -> Offer:
        from gigakit.core.catalogue import Catalogue

        before, comma, last = incomplete.rpartition(",")
        known = dict.fromkeys(axis.cells, "a cell of the recipe")
        if axis.kind is not None:
            for name, component in Catalogue().components(axis.kind.name).items():
                if component.origin not in axis.kind.inherited:
                    known.setdefault(name, component.summary)
        left = {label: text for label, text in known.items() if label not in before.split(",")}
        for label, text in _starting(last, left):
            yield f"{before}{comma}{label}", text

    return offer


def _starting(incomplete: str, known: Mapping[str, str]) -> Offer:
    for name, text in known.items():
        if name.startswith(incomplete):
            yield name, text
