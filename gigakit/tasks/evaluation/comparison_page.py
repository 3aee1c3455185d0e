"""A comparison as tables, JSON and text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gigakit.tasks.evaluation.bootstrap import INTERVAL, Score
from gigakit.tasks.evaluation.comparison import Comparison

HEADER = ("score", "first", "second", "difference (95 % interval)", "first better", "draws without")


def meaning(draws: int, seed: int) -> str:
    """Return what the interval of a difference is."""
    return f"{INTERVAL} of {draws} draws of whole patients, the same for both, seed {seed}"


def table_rows(found: Comparison) -> list[tuple[str, ...]]:
    """Return a line for each score; ``first better`` is the share of draws in which it is."""
    return [
        (
            name,
            f"{one.one:.3f}",
            f"{one.other:.3f}",
            _signed(one.gap),
            f"{one.better:.0%}" if math.isfinite(one.better) else "",
            str(one.gap.undefined),
        )
        for name, one in found.differences.items()
    ]


def as_json(found: Sequence[Comparison], draws: int, seed: int) -> dict[str, Any]:
    """Return comparisons as plain values; what is not a number is ``None``."""
    return {
        "interval": meaning(draws, seed),
        "comparisons": [
            {
                "first": one.one,
                "second": one.other,
                "patients": one.patients,
                "notes": list(one.notes),
                "scores": {
                    name: {
                        "first": _plain(gap.one),
                        "second": _plain(gap.other),
                        "first_better": _plain(gap.better),
                        "difference": {k: _plain(v) for k, v in asdict(gap.gap).items()},
                    }
                    for name, gap in one.differences.items()
                },
            }
            for one in found
        ],
    }


def page(found: Sequence[Comparison], draws: int, seed: int) -> str:
    """Return comparisons as Markdown."""
    lines = ["# Comparison", "", f"In brackets: {meaning(draws, seed)}."]
    for one in found:
        lines += ["", f"## {one.one} against {one.other}", ""]
        lines += [f"- {one.patients} patients that both tested"]
        lines += [f"- note: {note}" for note in one.notes]
        rows = [HEADER, ("---",) * len(HEADER), *table_rows(one)]
        lines += ["", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _signed(score: Score) -> str:
    return f"{score.value:+.3f} ({score.low:+.3f} to {score.high:+.3f})"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
