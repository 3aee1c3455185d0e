"""Pages of the command line, read from the Typer application."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from docstring_markdown import cell, code_cell, inline, table

from gigakit.cli.app import build_app

# the recipe whose axes are flags of `gigakit ablate`
_ARGUMENTS = ["ablate"]


def commands() -> dict[str, Any]:
    """Return the commands by name."""
    found: dict[str, Any] = typer.main.get_command(build_app(_ARGUMENTS)).commands
    return found


def index_lines() -> list[str]:
    """Return a table of all commands, in the order and groups of ``gigakit --help``."""
    rows = [
        (f"[`gigakit {name}`](commands/{name}.md)", cell(inline(command.short_help or "")))
        for name, command in commands().items()
    ]
    return table(("command", "what it does"), rows)


def command_page(name: str, command: Any) -> str:
    """Return the page of a command and its sub-commands."""
    lines = [f"# gigakit {name}", ""]
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        return "\n".join([*lines, *_body(f"gigakit {name}", command)])
    lines += [inline(command.help or ""), ""]
    for subname, subcommand in subcommands.items():
        lines += [f"## gigakit {name} {subname}", ""]
        lines += _body(f"gigakit {name} {subname}", subcommand)
    return "\n".join(lines)


def _body(path: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    shown = [f"{_name(p)}" if p.required else f"[{_name(p)}]" for p in arguments]
    context = command.context_class(command)
    lines = ["```text", " ".join([path, "[OPTIONS]", *shown]), "```", ""]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines += [inline(paragraph), ""]
    if arguments:
        rows = [(code_cell(_name(p)), _meaning(p), _default(p)) for p in arguments]
        lines += table(("argument", "meaning", "default"), rows)
    for panel in dict.fromkeys(p.rich_help_panel for p in options):
        rows = [
            (code_cell(_flag(p, context)), _meaning(p), _default(p))
            for p in options
            if p.rich_help_panel == panel
        ]
        lines += table((panel or "option", "meaning", "default"), rows)
    return lines


def _name(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).upper()
    return f"{name}..." if parameter.multiple or parameter.nargs != 1 else name


def _flag(parameter: Any, context: Any) -> str:
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return flags
    value = parameter.metavar or parameter.display_type(context).strip("<>").removesuffix(" range")
    return f"{flags} {value}"


def _meaning(parameter: Any) -> str:
    return cell(inline(parameter.help or ""))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    empty = parameter.default in (None, False, "", (), [])
    return "" if empty or callable(parameter.default) else code_cell(str(parameter.default))
