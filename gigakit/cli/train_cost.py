"""``gigakit train --dry-run``: what a training will cost, before it is started."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from gigakit.core.errors import GigakitError

if TYPE_CHECKING:
    from gigakit.config import LoadedConfig

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def print_cost(loaded: LoadedConfig, *, as_json: bool) -> None:
    """Measure a few steps of a recipe and print what the whole run will take; nothing is kept.

    Where the data cannot be had, what is known without them is told before the error.

    Raises:
        GigakitError: the recipe cannot be trained as it is.
    """
    from gigakit.engine.dry_run import measure_step_cost
    from gigakit.engine.preparation_left import preparation_left
    from gigakit.tasks.model_size import model_size

    announce = _quiet if as_json else lambda line: typer.echo(line, err=True)
    try:
        left = preparation_left(loaded.values)
        cost = measure_step_cost(loaded, announce=announce)
    except GigakitError as error:
        size = model_size(loaded.values) if "model" in loaded.values else None
        if size is not None:
            trained, every = size
            known = {"recipe": loaded.name, "parameters": trained, "all_parameters": every}
            _print({**known, "not_measured": str(error)}, as_json=as_json)
        raise
    found = {"recipe": loaded.name, "prepare": left, **asdict(cost), "seconds": cost.seconds}
    _print(found, as_json=as_json)


def _quiet(_line: str) -> None:
    """Say nothing, where JSON is wanted."""


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for label, text in _lines(found):
        typer.echo(f"{label:<12}{text}")


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("recipe", found["recipe"])]
    lines += [("first", line) for line in found.get("prepare", [])]
    counts = f"{found['parameters']:,} trained of {found['all_parameters']:,}"
    lines.append(("parameters", counts))
    if "not_measured" in found:
        return [*lines, ("not measured", found["not_measured"])]
    median = f"median of {found['timed_steps']}"
    step = f"{_scaled(found['flops_per_step'])}FLOP, {found['seconds_per_step']:.3g} s ({median})"
    lines += [
        ("step", f"{step} on {found['device']}"),
        ("memory", _memory(found)),
        ("steps", f"{found['steps']:,}"),
        ("time", f"{_clock(found['seconds'])}, without preparation and validation"),
    ]
    lines += [("note", note) for note in found["notes"]]
    return [*lines, ("", "nothing was kept; without --dry-run it is trained")]


def _memory(found: dict[str, Any]) -> str:
    cuda = found["peak_cuda_memory_mb"]
    device = f"; {cuda:,.0f} MiB of the device" if cuda is not None else ""
    return f"{found['peak_memory_mb']:,.0f} MiB at most of the machine, imports included{device}"


def _scaled(value: float) -> str:
    power = min(int(math.log10(value) // 3), len(_PREFIXES) - 1) if value >= 1 else 0
    return f"{value / 1000**power:.3g} {_PREFIXES[power]}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
