"""The screen of ``gigakit ablate --dry-run``: what will be run and what it costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from gigakit.ablation.axes import Choice
    from gigakit.ablation.plan import Plan
    from gigakit.ablation.probing import CellCost
    from gigakit.cli.ablate import Options

_PIPE_WIDTH = 160
_NUMBERS = ("steps", "params", "FLOPs", "s/step", "MB", "a run")


def show_plan(
    plan: Plan,
    choices: Sequence[Sequence[Choice]],
    slots: Sequence[dict[str, str]],
    options: Options,
) -> None:
    """Measure a plan and print it, as tables or as JSON.

    Args:
        plan: the ablation.
        choices: of which its cells are made.
        slots: the environment of each run that goes on at a time.
        options: of the command.

    Raises:
        GigakitError: a cell cannot run.
    """
    from gigakit.ablation.probing import cost_warnings, estimate_seconds, probe_cells
    from gigakit.ablation.sharing import find_sharing
    from gigakit.ablation.slots import describe_slots
    from gigakit.core.errors import GigakitError

    costs = probe_cells(
        plan,
        probe_steps=options.probe_steps,
        environment=slots[0],
        announce=lambda line: typer.echo(line, err=True),
    )
    sharing = find_sharing(plan)
    warnings = [*sharing.warnings(), *cost_warnings(costs)]
    seconds = estimate_seconds(plan, costs, len(slots))
    how = "as a SLURM array" if options.slurm else describe_slots(slots)
    if options.as_json:
        content = {
            **plan.described(),
            "out": str(plan.out),
            "costs": {cost.cell: cost.cost or {"reason": cost.reason} for cost in costs},
            "seconds": seconds,
            "jobs": len(slots),
            "prepared": sharing.stages,
            "data_differ_in": sharing.data,
            "warnings": warnings,
        }
        typer.echo(json.dumps(content, indent=2))
    else:
        _print_axes(plan, choices)
        _say(f"{plan.size}, {how}; in {plan.out}")
        if costs:
            _print_costs(plan, costs)
        for line in [*_legend(plan, costs, seconds), *sharing.lines()]:
            _say(line)
        for line in warnings:
            _say(f"warning: {line}")
    broken = [cost.cell for cost in costs if cost.reason]
    if broken:
        raise GigakitError(
            f"{len(broken)} of {len(costs)} cells cannot run",
            where=plan.name,
            fix="the warnings say why",
        )


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a pipe has no width, so it gets a wide one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for title in header:
        # where there is no room, names are broken and numbers stay whole
        table.add_column(title, overflow="fold", no_wrap=title in _NUMBERS)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)


def _say(line: str) -> None:
    """Print a line; a terminal breaks it between words."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(line, markup=False, highlight=False)
    else:
        typer.echo(line)


def _print_axes(plan: Plan, choices: Sequence[Sequence[Choice]]) -> None:
    described = {
        (choice.axis.name, choice.label): _describe(choice)
        for chosen in choices
        for choice in chosen
    }
    rows = []
    for name, keys in plan.keys.items():
        labels = dict.fromkeys(cell[name] for cell in plan.cells.values())
        values = [described.get((name, label), label) for label in labels]
        rows.append((name, "\n".join(keys) or "-", "\n".join(values)))
    print_table(("axis", "key", "values"), rows)


def _describe(choice: Choice) -> str:
    """Return a choice's label, and the component that it stands for where the label is none."""
    value: Any = choice.value
    if choice.axis.key is None or not isinstance(value, dict) or "type" not in value:
        return choice.label
    given = {key: item for key, item in value.items() if key not in ("type", "_keep_")}
    arguments = ", ".join(f"{key}={item!r}" for key, item in given.items())
    component = value["type"] + (f"({arguments})" if arguments else "")
    is_name = choice.label.startswith(value["type"])
    return choice.label if is_name else f"{choice.label}: {component}"


def _print_costs(plan: Plan, costs: Sequence[CellCost]) -> None:
    print_table(("cell", *_NUMBERS), [_cost_row(plan, cost) for cost in costs])


def _cost_row(plan: Plan, found: CellCost) -> tuple[str, ...]:
    from gigakit.engine.pace import clock

    name = "\n".join(f"{axis}={label}" for axis, label in plan.cells[found.cell].items())
    name += " *" if found.cell == plan.baseline else ""
    cost = found.cost
    if not cost:
        return (name, "cannot run", *[""] * 5)
    cuda = cost["peak_cuda_memory_mb"]
    return (
        name,
        f"{cost['steps']:,}",
        _scaled(cost["parameters"]),
        _scaled(cost["flops_per_step"]),
        f"{cost['seconds_per_step']:.3g}",
        f"{cost['peak_memory_mb'] if cuda is None else cuda:,.0f}",
        clock(cost["seconds"]),
    )


def _legend(plan: Plan, costs: Sequence[CellCost], seconds: float | None) -> list[str]:
    from gigakit.engine.pace import clock

    if not costs:
        return [f"baseline: {plan.baseline}"]
    done = [cost.cost for cost in costs if cost.cost]
    lines = ["* baseline. FLOPs: matmuls of the first step, forward and backward."]
    if done:
        memory = "resident" if done[0]["peak_cuda_memory_mb"] is None else "CUDA"
        lines.append(
            f"s/step: median of {done[0]['timed_steps']} steps on {done[0]['device']}, as busy as "
            f"it is now. MB: largest {memory} memory of the process."
        )
        lines += [f"{note}." for note in dict.fromkeys(n for cost in done for n in cost["notes"])]
    if seconds is None:
        return [*lines, "total: unknown, since cells cannot run"]
    return [
        *lines,
        f"total: about {clock(seconds)} for what is not finished, validation and the preparation "
        "of tiles and features left out (gigakit plan estimates that)",
    ]


def _scaled(value: float) -> str:
    """Return a number with three digits and the letter of its thousands: ``156 M``."""
    letters = iter(("", "k", "M", "G", "T", "P", "E"))
    letter = next(letters)
    while value >= 999.5:  # noqa: PLR2004
        value, letter = value / 1000, next(letters)
    return f"{value:.3g} {letter}".rstrip()
