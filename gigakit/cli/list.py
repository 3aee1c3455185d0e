"""``gigakit list``: what a config may name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.completion import complete_kind, complete_name
from gigakit.cli.options import AsJson
from gigakit.cli.tables import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from gigakit.core.catalogue import Catalogue, Component
    from gigakit.core.kinds import Kind

# what can be listed beside components: the kind, and what it is
FURTHER = {
    "recipe": "configs to train",
    "encoder": "configs and weights to embed with",
    "axis": "what gigakit ablate varies of a recipe",
    "backend": "ways to compute attention",
}


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Kind of component, such as attention; or recipe, encoder, axis, backend.",
            autocompletion=complete_kind,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            help="One component, in full; of an axis, the recipe.", autocompletion=complete_name
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of component, the components of one kind, or one component in full.

    In full means: arguments with their defaults and what they mean, the source in the literature,
    which recipes use it, and an example config.
    """
    from gigakit.cli.list_component import print_component
    from gigakit.core.catalogue import Catalogue

    catalogue = Catalogue()
    if kind is None:
        _print_kinds(catalogue, as_json=as_json)
    elif further := _further(kind):
        _PRINTERS[further](name, as_json)
    elif name is None:
        _print_kind(_kind(kind), catalogue, as_json=as_json)
    else:
        print_component(_component(name, _kind(kind), catalogue), catalogue, as_json=as_json)


def _further(label: str) -> str | None:
    wanted = label.lower()
    plurals = {"axes": "axis", **{f"{known}s": known for known in FURTHER}}
    found = plurals.get(wanted, wanted)
    return found if found in FURTHER else None


def _kind(label: str) -> Kind:
    from gigakit.core.catalogue import nearest
    from gigakit.core.errors import ConfigError
    from gigakit.core.kinds import KINDS, kind_by_label

    kind = kind_by_label(label)
    if kind is None:
        close = nearest(label, [*FURTHER, *(known.label for known in KINDS.values())])
        fix = f"did you mean '{close}'?" if close else "see: gigakit list"
        raise ConfigError(f"'{label}' is no kind of component", where="gigakit list", fix=fix)
    return kind


def _component(name: str, kind: Kind, catalogue: Catalogue) -> Component:
    from gigakit.core.catalogue import unknown_component

    component = catalogue.find(name, [kind.name])
    if component is None:
        raise unknown_component(name, kind, catalogue)
    return component


def _print_kinds(catalogue: Catalogue, *, as_json: bool) -> None:
    from gigakit.config import recipes
    from gigakit.core.kinds import KINDS

    names = {kind.label: sorted(catalogue.components(kind.name)) for kind in KINDS.values()}
    names = {label: found for label, found in names.items() if found}
    names["recipe"] = sorted(recipes())
    if as_json:
        typer.echo(json.dumps(names, indent=2))
        return
    own = {
        kind.label: [c.name for c in catalogue.components(kind.name).values() if _is_ours(c, kind)]
        for kind in KINDS.values()
    }
    own["recipe"] = names["recipe"]
    rows = []
    for label, known in names.items():
        more = len(known) - len(own[label])
        listed = [*own[label], f"{more} of mmengine and torch"] if more else own[label]
        rows.append((label, str(len(known)), ", ".join(listed)))
    rows += [(label, "", what) for label, what in FURTHER.items() if label not in names]
    print_table(("kind", "count", "components"), rows)


def _is_ours(component: Component, kind: Kind) -> bool:
    return component.origin not in kind.inherited


def _print_kind(kind: Kind, catalogue: Catalogue, *, as_json: bool) -> None:
    found = list(catalogue.components(kind.name).values())
    if as_json:
        typer.echo(json.dumps([asdict(component) for component in found], indent=2))
        return
    rows = [(c.name, c.origin, c.summary) for c in sorted(found, key=lambda c: _is_ours(c, kind))]
    print_table((kind.label, "from", "what it is"), rows[::-1])


def _print_recipes(name: str | None, as_json: bool) -> None:
    from gigakit.config import find_recipe, recipes

    known = recipes() if name is None else {name: find_recipe(name)}
    _print_configs("recipe", known, in_full=name is not None, as_json=as_json)


def _print_encoders(name: str | None, as_json: bool) -> None:
    from gigakit.config import ENCODERS, find_encoder, recipes
    from gigakit.core.assets import own_encoders

    begin = f"{ENCODERS}/"
    published = {k.removeprefix(begin): v for k, v in recipes().items() if k.startswith(begin)}
    known = {**own_encoders(), **published}
    if name is not None:
        known = {name: known.get(name) or find_encoder(name)}
    _print_configs("encoder", known, in_full=name is not None, as_json=as_json)


def _print_configs(kind: str, known: dict[str, Path], *, in_full: bool, as_json: bool) -> None:
    from gigakit.config.expressions import shown_path

    docs = {key: _doc(path) for key, path in known.items()}
    if as_json:
        found = {key: {"file": str(known[key]), "doc": docs[key]} for key in known}
        typer.echo(json.dumps(found, indent=2))
    elif not in_full:
        print_table(
            (kind, "what it is"), [(key, doc.partition("\n")[0]) for key, doc in docs.items()]
        )
    else:
        for key, doc in docs.items():
            typer.echo(f"{key}  {shown_path(known[key])}\n\n{doc}")


def _doc(path: Path) -> str:
    """Return what a config says at its head, or the card of an own encoder's weights."""
    import ast

    from gigakit.core.assets import SUFFIX, card_of

    if path.suffix == SUFFIX:
        return card_of(path).read_text(encoding="utf-8").removeprefix("# ")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _print_axes(name: str | None, as_json: bool) -> None:
    from gigakit.ablation.axes import recipe_axes
    from gigakit.config import find_recipe, load_config, recipes
    from gigakit.config.writing import value_text

    known = recipes() if name is None else {name: find_recipe(name)}
    axes = {key: recipe_axes(load_config(path).values) for key, path in known.items()}
    if as_json:
        found = {
            key: {
                axis.name: {"flag": axis.flag, "keys": axis.keys, "cells": dict(axis.cells)}
                for axis in declared.values()
            }
            for key, declared in axes.items()
        }
        typer.echo(json.dumps(found if name is None else found[name], indent=2))
    elif name is None:
        rows = [(key, ", ".join(declared)) for key, declared in axes.items() if declared]
        print_table(("recipe", "axes"), rows)
    else:
        lines = []
        for axis in axes[name].values():
            cells = [_cell(label, value_text(value)) for label, value in axis.cells.items()]
            lines.append((axis.flag, ", ".join(axis.keys), "\n".join(cells)))
        print_table(("flag", "config key", "values"), lines)


def _cell(label: str, text: str) -> str:
    """Return a cell and what it stands for, where its label does not say so."""
    return label if text.strip("'\"") == label else f"{label}  {text}"


def _print_backends(name: str | None, as_json: bool) -> None:
    import torch

    from gigakit.core.errors import ConfigError
    from gigakit.nn.attention.backends import BACKENDS, availability

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name is not None and name not in BACKENDS:
        fix = f"choose from {', '.join(BACKENDS)}"
        raise ConfigError(f"'{name}' is no attention backend", where="gigakit list", fix=fix)
    found = {
        backend: {label: availability(backend, device, dtype) for label, dtype in kinds.items()}
        for backend in ([name] if name else BACKENDS)
    }
    if as_json:
        typer.echo(json.dumps({"device": device.type, "backends": found}, indent=2))
        return
    rows = [
        (backend, *(reason or "runs" for reason in reasons.values()))
        for backend, reasons in found.items()
    ]
    print_table(("backend", *(f"{label} on {device.type}" for label in kinds)), rows)


_PRINTERS: dict[str, Callable[[str | None, bool], None]] = {
    "recipe": _print_recipes,
    "encoder": _print_encoders,
    "axis": _print_axes,
    "backend": _print_backends,
}
