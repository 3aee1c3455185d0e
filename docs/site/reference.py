"""Hook of the site: reference pages generated from the Typer application and the catalogue."""

from __future__ import annotations

from typing import Any

import command_pages
import component_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = "reference"
# entries of the navigation that stand for a list of generated pages
COMMANDS, COMPONENTS = f"{FOLDER}/commands", f"{FOLDER}/components"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation."""
    commands = [{f"gigakit {name}": f"{COMMANDS}/{name}.md"} for name in command_pages.commands()]
    components = [{kind.label: f"{COMPONENTS}/{kind.label}.md"} for kind in component_pages.kinds()]
    config.nav = _filled(config.nav, {COMMANDS: commands, COMPONENTS: components})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate the pages."""
    pages = {
        f"{FOLDER}/index.md": _index(),
        f"{FOLDER}/recipes.md": component_pages.recipes_page(),
        f"{FOLDER}/differences.md": component_pages.differences_page(),
        **{
            f"{COMMANDS}/{name}.md": command_pages.command_page(name, command)
            for name, command in command_pages.commands().items()
        },
        **{
            f"{COMPONENTS}/{kind.label}.md": component_pages.kind_page(kind)
            for kind in component_pages.kinds()
        },
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def _index() -> str:
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the command line and from the registered components when the site is "
            "built. `gigakit --help` and `gigakit list` tell the same.",
            "",
            "## Commands",
            "",
            *command_pages.index_lines(),
            "## Components",
            "",
            *component_pages.index_lines(),
            "## Recipes and files",
            "",
            "- [Recipes](recipes.md), their costs and axes",
            "- [Configs](../configs.md): how a recipe is read, changed and checked",
            "- [Files on disk](../files.md)",
            "- [Bad input](../bad_input.md): what a slide can be, and what happens",
            "",
        ]
    )


def _filled(nav: Any, lists: dict[str, list[Any]]) -> Any:
    if isinstance(nav, list):
        return [_filled(item, lists) for item in nav]
    if isinstance(nav, dict):
        return {title: _filled(item, lists) for title, item in nav.items()}
    return lists.get(nav, nav)
