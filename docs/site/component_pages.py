"""Pages of components and recipes, read from the catalogue: nothing of them is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from docstring_markdown import cell, code_cell, docstring_markdown, inline, table

from gigakit.ablation.axes import recipe_axes
from gigakit.config import load_config, recipes
from gigakit.config.examples import Use, all_uses, example_config
from gigakit.core.catalogue import Catalogue, Component
from gigakit.core.docstrings import argument_texts, source_text
from gigakit.core.kinds import KINDS, Kind
from gigakit.core.source import Argument

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Catalogue()
# a section of a docstring: its first line, and those that are indented below it
_DIFFERS = re.compile(r"^Differs: (.*(?:\n +.*)*)", re.MULTILINE)


def kinds() -> list[Kind]:
    """Return the kinds that have components of gigakit's own."""
    return [kind for kind in KINDS.values() if _own(kind)]


def index_lines() -> list[str]:
    """Return a table of the kinds of component."""
    rows = []
    for kind in kinds():
        names = ", ".join(f"`{component.name}`" for component in _own(kind))
        rows.append((f"[{kind.label}](components/{kind.label}.md)", names))
    return table(("kind", "components"), rows)


def kind_page(kind: Kind) -> str:
    """Return the page of a kind: a table of its components, then each in full."""
    own = _own(kind)
    folders = ", ".join(f"`{package.replace('.', '/')}/`" for package in kind.packages)
    lines = [f"# {kind.label}", "", f"Registry `{kind.name}`, folder {folders}.", ""]
    if kind.injected:
        names = ", ".join(f"`{name}`" for name in kind.injected)
        lines += [f"Handed in when it is built, so not in a config: {names}.", ""]
    rows = [(f"[`{c.name}`](#{c.name.lower()})", cell(inline(c.summary))) for c in own]
    lines += table((kind.label, "what it is"), rows)
    for component in own:
        lines += _component_lines(component, kind)
    return "\n".join([*lines, *_inherited_lines(kind)])


def recipes_page() -> str:
    """Return the page of all recipes: what each says at its head, and its axes."""
    lines = ["# Recipes", "", "Named by `gigakit train NAME`, from any folder.", ""]
    known = {name: path for name, path in recipes().items() if not name.startswith("encoders/")}
    docs = {
        name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        for name, path in known.items()
    }
    rows = [(f"`{name}`", cell(inline(doc.partition("\n")[0]))) for name, doc in docs.items()]
    lines += table(("recipe", "what it is"), rows)
    for name, doc in docs.items():
        lines += [f"## {name}", "", "```text", doc, "```", ""]
        axes = recipe_axes(load_config(known[name]).values)
        if axes:
            lines += table(
                ("axis", "config key", "cells"),
                [
                    (code_cell(axis.flag), code_cell(", ".join(axis.keys)), _cells(axis.cells))
                    for axis in axes.values()
                ],
            )
    return "\n".join(lines)


def differences_page() -> str:
    """Return the page of all deliberate differences that docstrings state, by kind."""
    lines = [
        "# Deliberate differences",
        "",
        "What each component does otherwise than the paper, or the published code, that it comes "
        "from, as its docstring states it.",
        "",
    ]
    for kind in kinds():
        rows = []
        for component in _own(kind):
            found = _DIFFERS.search(component.docstring)
            if found is not None:
                link = f"[`{component.name}`](components/{kind.label}.md#{component.name.lower()})"
                rows.append(
                    (
                        link,
                        cell(inline(source_text(component.docstring) or "mmengine")),
                        cell(inline(found[1])),
                    )
                )
        if rows:
            lines += [f"## {kind.label}", ""]
            lines += table(("component", "source", "what differs"), rows)
    return "\n".join(lines)


def _cells(cells: object) -> str:
    return ", ".join(code_cell(str(label)) for label in cells)  # type: ignore[attr-defined]


def _own(kind: Kind) -> list[Component]:
    found = CATALOGUE.components(kind.name).values()
    return sorted((c for c in found if c.origin not in kind.inherited), key=lambda c: c.name)


@cache
def _uses() -> list[Use]:
    return all_uses()


def _component_lines(component: Component, kind: Kind) -> list[str]:
    path = Path(component.file).resolve()
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    lines = [f"## {component.name}", "", docstring_markdown(component.docstring), ""]
    texts = argument_texts(component.docstring)
    given = [a for a in component.arguments if a.name not in kind.injected]
    if given:
        rows = [
            (code_cell(a.name), code_cell(a.annotation or ""), _default(a),
             cell(inline(texts.get(a.name, ""))))
            for a in given
        ]  # fmt: skip
        lines += table(("argument", "type", "default", "meaning"), rows)
    if component.open:
        lines += ["It takes further arguments, which its source does not name.", ""]
    own = [use for use in _uses() if use.value["type"] == component.name]
    example = example_config(component, _uses(), CATALOGUE)
    if example is not None:
        lines += ["```python", example.rstrip("\n"), "```", ""]
    lines += [f"Defined in `{shown}`, line {component.line}{_used(own)}.", ""]
    return lines


def _used(uses: Sequence[Use]) -> str:
    names = dict.fromkeys(use.recipe for use in uses)
    return f"; in the recipes {', '.join(f'`{name}`' for name in names)}" if names else ""


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    return code_cell(argument.default or "")


def _inherited_lines(kind: Kind) -> list[str]:
    found = CATALOGUE.components(kind.name).values()
    names = [f"`{c.name}`" for c in found if c.origin in kind.inherited]
    if not names:
        return []
    return [
        "## Inherited",
        "",
        f"A config may also name what {' and '.join(kind.inherited)} register: {', '.join(names)}.",
        "",
    ]
