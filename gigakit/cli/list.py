"""``gigakit list``: what a config may name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.tables import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from gigakit.core.catalogue import Catalogue, Component
    from gigakit.core.kinds import Kind

_RECIPE, _ENCODER = "recipe", "encoder"


def list_components(
    kind: Annotated[
        str | None, typer.Argument(help="Kind of component, such as attention; or recipe, encoder.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One component, in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the kinds of component, the components of one kind, or one component in full."""
    from gigakit.core.catalogue import Catalogue

    catalogue = Catalogue()
    if kind is None:
        _print_kinds(catalogue, as_json=as_json)
    elif kind.removesuffix("s") == _RECIPE:
        _print_recipes(name, as_json=as_json)
    elif kind.removesuffix("s") == _ENCODER:
        _print_encoders(name, as_json=as_json)
    elif name is None:
        _print_kind(_kind(kind), catalogue, as_json=as_json)
    else:
        _print_component(_component(name, _kind(kind), catalogue), as_json=as_json)


def _kind(label: str) -> Kind:
    from gigakit.core.catalogue import nearest
    from gigakit.core.errors import ConfigError
    from gigakit.core.kinds import KINDS, kind_by_label

    kind = kind_by_label(label)
    if kind is None:
        labels = [_RECIPE, _ENCODER, *(known.label for known in KINDS.values())]
        close = nearest(label, labels)
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
    names = {label: found for label, found in names.items() if found} | {_RECIPE: sorted(recipes())}
    if as_json:
        typer.echo(json.dumps(names, indent=2))
        return
    own = {
        kind.label: [c.name for c in catalogue.components(kind.name).values() if _is_ours(c, kind)]
        for kind in KINDS.values()
    }
    own[_RECIPE] = names[_RECIPE]
    rows = []
    for label, known in names.items():
        more = len(known) - len(own[label])
        listed = [*own[label], f"{more} of mmengine and torch"] if more else own[label]
        rows.append((label, str(len(known)), ", ".join(listed)))
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


def _print_recipes(name: str | None, *, as_json: bool) -> None:
    from gigakit.config import find_recipe, recipes

    known = recipes() if name is None else {name: find_recipe(name)}
    _print_configs(_RECIPE, known, in_full=name is not None, as_json=as_json)


def _print_encoders(name: str | None, *, as_json: bool) -> None:
    from gigakit.config import ENCODERS, find_encoder, recipes
    from gigakit.core.assets import own_encoders

    begin = f"{ENCODERS}/"
    published = {k.removeprefix(begin): v for k, v in recipes().items() if k.startswith(begin)}
    known = {**own_encoders(), **published}
    if name is not None:
        known = {name: known.get(name) or find_encoder(name)}
    _print_configs(_ENCODER, known, in_full=name is not None, as_json=as_json)


def _print_configs(kind: str, known: dict[str, Path], *, in_full: bool, as_json: bool) -> None:
    from gigakit.config.expressions import shown_path

    docs = {key: _doc(path) for key, path in known.items()}
    if as_json:
        typer.echo(json.dumps({key: {"file": str(known[key]), "doc": docs[key]} for key in known}))
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


def _print_component(component: Component, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(component), indent=2))
        return
    typer.echo(f"{component.name}  ({component.registry}, {component.origin})")
    typer.echo(f"{component.file}:{component.line}\n")
    for argument in component.arguments:
        annotation = f": {argument.annotation}" if argument.annotation else ""
        typer.echo(
            f"  {argument.name}{annotation}{_default(argument.default, component, argument.name)}"
        )
    if component.open:
        typer.echo("  ...: further arguments that its source does not name")
    typer.echo(f"\n{component.docstring}" if component.docstring else "\nno docstring")


def _default(default: str | None, component: Component, argument: str) -> str:
    from gigakit.core.kinds import KINDS

    if default is not None:
        return f" = {default}"
    injected = argument in KINDS[component.registry].injected
    return "  (handed in)" if injected else "  (required)"
