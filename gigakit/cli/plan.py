"""``gigakit plan``: what a cohort will cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.completion import complete_encoder
from gigakit.cli.options import AsJson, Mpp, Overrides
from gigakit.cli.tile import Recipe

if TYPE_CHECKING:
    from gigakit.tasks.plan import Estimate, Plan


def plan(
    slides: Annotated[
        list[str], typer.Argument(help="slides.csv, folders of slides, slides, or 'sample'.")
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="A published encoder, such as gigapath.",
            autocompletion=complete_encoder,
        ),
    ] = None,
    recipe: Recipe = "gigapath_slide",
    overrides: Overrides = None,
    mpp: Mpp = None,
    probe: Annotated[int, typer.Option("--probe", min=1, help="Slides to look at.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Draws them.")] = 0,
    tflops: Annotated[
        float, typer.Option("--tflops", min=0.001, help="TFLOP/s that your device sustains.")
    ] = 100.0,
    as_json: AsJson = False,
) -> None:
    """Estimate tiles, bytes and hours of tiling and embedding a cohort, before starting.

    Some slides, drawn over all file sizes, are tiled for real and some of their tiles are read;
    nothing is kept. Weights are not needed.
    """
    from gigakit.config import find_encoder, load_checked

    chosen = find_encoder(encoder) if encoder else recipe
    preparation = load_checked(chosen, overrides or (), section=None).values["preparation"]

    from gigakit.registry import TASKS
    from gigakit.tasks.plan import plan_cohort
    from gigakit.wsi.cohort import read_cohorts

    made = plan_cohort(
        read_cohorts(slides, mpp=mpp),
        TASKS.build({**preparation, "weights": None}),
        probe=probe,
        seed=seed,
        sustained_tflops=tflops,
        announce=lambda line: typer.echo(line, err=True),
    )
    if as_json:
        typer.echo(json.dumps(asdict(made), indent=2))
    else:
        _print(made)


def _print(plan: Plan) -> None:
    from gigakit.cli.tables import print_table

    print_table(
        ("what", "cohort", "90 % interval", "basis"),
        [_line(estimate) for estimate in plan.estimates],
    )
    typer.echo(f"{plan.slides:,} slides, of which {plan.probed} were probed")
    if plan.failed:
        typer.echo(f"{len(plan.failed)} of these cannot be used: {plan.failed[0]}")


def _line(estimate: Estimate) -> tuple[str, ...]:
    scale, unit = _readable(estimate.total, estimate.unit)
    total, low, high = (
        _number(value / scale) for value in (estimate.total, estimate.low, estimate.high)
    )
    exact = estimate.low == estimate.high
    interval = "exact" if exact else f"{low} to {high}"
    return (estimate.name, f"{total} {unit}".rstrip(), interval, estimate.basis)


def _readable(value: float, unit: str) -> tuple[float, str]:
    """Return the unit in which a value has few digits, and how many of the given one it is."""
    if unit.endswith(" s"):
        kind = unit.removesuffix(" s")
        hour, minute = 3600.0, 60.0
        if value >= hour:
            return hour, f"{kind} h"
        return (minute, f"{kind} min") if value >= minute else (1.0, unit)
    if unit not in ("bytes", "FLOP"):
        return 1.0, unit
    names = (unit, *(f"{prefix}{'B' if unit == 'bytes' else unit}" for prefix in "kMGTPEZ"))
    power = 0
    while power < len(names) - 1 and value >= 1000 ** (power + 1):
        power += 1
    return 1000.0**power, names[power]


def _number(value: float) -> str:
    """Return three digits, or all of a whole part; never an exponent."""
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else "< 0.001"  # noqa: PLR2004
