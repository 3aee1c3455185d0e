"""The flags of ``gigakit ablate``: which they are depends on the recipe that the line names."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigakit.cli.completion import axis_completion
from gigakit.core.errors import ConfigError

if TYPE_CHECKING:
    from gigakit.ablation.axes import Axis
    from gigakit.ablation.cells import Mode
    from gigakit.core.catalogue import Catalogue

_DECLARED, _KINDS = "Axes of the recipe", "Registry kinds"
_HELP = ("--help", "-h")
_SET = ("--set", "--cfg-options")
# a longer list hides the recipe's own values
_MOST_NAMES = 5


class ModeName(enum.StrEnum):
    """How choices make cells."""

    GRID = "grid"
    ONE = "one-at-a-time"
    LIST = "list"


def scan(arguments: Sequence[str], fixed: inspect.Signature, default: str) -> tuple[str, list[str]]:
    """Find the recipe and its overrides on a command line whose flags are not known yet.

    Args:
        arguments: the command line.
        fixed: the options that every recipe's command has; those of them that are switches take no
            value, and any other option takes one.
        default: the recipe where none is named.

    Returns:
        The recipe, and the values of ``--set``.
    """
    switches = {*_HELP, *_switches(fixed)}
    recipe, overrides = None, []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in switches:
            continue
        if argument == "--":
            recipe = recipe or next(rest, None)
        elif not argument.startswith("-"):
            recipe = recipe or argument
        else:
            value = value if equals else next(rest, "")
            overrides += [value] if name in _SET else []
    return recipe or default, overrides


def chosen_mode(mode: ModeName, listed: Path | None, named: Collection[str]) -> Mode:
    """Return how cells are made: from ``--list`` where it is given.

    Raises:
        ConfigError: a list is asked for and not given, or axes are given beside it.
    """
    if listed is None and mode is ModeName.LIST:
        raise ConfigError("no cells are listed", where="--mode list", fix="add --list FILE")
    if listed is None:
        return mode.value
    if mode is ModeName.ONE or named:
        raise ConfigError(
            "the cells are those of the file, axes beside it have no meaning",
            where=f"--list {listed}",
            fix="leave out the axes and --mode, or --list",
        )
    return "list"


def argument(name: str) -> str:
    """Return the name of an axis's argument, which no option has."""
    return f"axis_{name}"


def with_axes(
    fixed: inspect.Signature,
    axes: Mapping[str, Axis],
    declared: Collection[str],
    catalogue: Catalogue,
) -> inspect.Signature:
    """Return a signature with the axes' flags after the fixed options.

    Args:
        fixed: the options that every recipe's command has.
        axes: the axes by name.
        declared: names of those that the recipe declares.
        catalogue: what is registered.

    Raises:
        ConfigError: an axis has the name of an option.
    """
    taken = {*_HELP, *(flag for p in fixed.parameters.values() for flag in _flags(p))}
    for name, axis in axes.items():
        if axis.flag in taken:
            raise ConfigError(
                f"{axis.flag} is an option of gigakit ablate",
                where=f"ablation.{name}",
                fix="give the axis another name",
            )
    flags = [_flag(axis, catalogue, declared=name in declared) for name, axis in axes.items()]
    return fixed.replace(parameters=[*fixed.parameters.values(), *flags])


def _flag(axis: Axis, catalogue: Catalogue, *, declared: bool) -> inspect.Parameter:
    option = typer.Option(
        axis.flag,
        metavar="V1,V2",
        help=f"{axis.key or 'several keys'}: {_known(axis, catalogue, declared=declared)}",
        rich_help_panel=_DECLARED if declared else _KINDS,
        autocompletion=axis_completion(axis),
    )
    return inspect.Parameter(
        argument(axis.name),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[list[str] | None, option],
    )


def _known(axis: Axis, catalogue: Catalogue, *, declared: bool) -> str:
    """List the values of an axis: the recipe's, then those registered, the present one first."""
    cells = ", ".join(axis.cells)
    if axis.kind is None:
        return f"{cells}, or any other" if axis.open_values else cells
    found = catalogue.components(axis.kind.name).values()
    own = [component.name for component in found if component.origin not in axis.kind.inherited]
    own = own or [component.name for component in found]
    if declared and len(own) > _MOST_NAMES:
        return f"{cells}; or of: gigakit list {axis.kind.label}"
    now = [axis.current["type"]] if "type" in axis.current else []
    names = [f"{name} (now)" for name in now] + [name for name in own if name not in now]
    more = len(found) - len(own)
    names += [f"{more} of mmengine and torch"] if more else []
    listed = ", ".join([*axis.cells, *(name for name in names if name not in axis.cells)])
    return f"{listed}; several joined by +" if axis.members is not None else listed


def _switches(signature: inspect.Signature) -> Iterable[str]:
    for parameter in signature.parameters.values():
        if typing.get_args(parameter.annotation)[0] is bool:
            yield from _flags(parameter)


def _flags(parameter: inspect.Parameter) -> Iterable[str]:
    notes: tuple[Any, ...] = typing.get_args(parameter.annotation)[1:]
    for note in notes:
        # typer takes the first name for a default until it builds the option
        names = (note.default, *(note.param_decls or ()))
        yield from (name for name in names if isinstance(name, str) and name.startswith("-"))
