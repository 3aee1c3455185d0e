"""``gigakit compare``: evaluated models on the same draws of the same patients."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigakit.tasks.evaluation.evaluation import Evaluation


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a card, or its card.json.")],
    others: Annotated[list[Path], typer.Argument(help="One or more other cards.")],
    draws: Annotated[int, typer.Option("--draws", min=10, help="Draws of patients.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for compare.md and compare.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare cards of one task, pairwise with the first: differences with 95 % intervals.

    An interval without 0 is a finding; two intervals side by side that overlap are no proof of
    equality.
    """
    from gigakit.cli.tables import print_table
    from gigakit.core.files import write_json, write_text
    from gigakit.tasks.evaluation.card_files import read_evaluation
    from gigakit.tasks.evaluation.comparison import compare as compared
    from gigakit.tasks.evaluation.comparison_page import HEADER, meaning, page, table_rows
    from gigakit.tasks.evaluation.comparison_page import as_json as to_json

    one, *rest = _named_apart([read_evaluation(path) for path in (first, *others)], first, others)
    found = [compared(one, other, draws=draws, seed=seed) for other in rest]
    if as_json:
        typer.echo(json.dumps(to_json(found, draws, seed), indent=2))
    else:
        typer.echo(f"in brackets: {meaning(draws, seed)}")
        for each in found:
            typer.echo(f"\n{each.one} against {each.other}, {each.patients} patients")
            for note in each.notes:
                typer.echo(f"note: {note}")
            print_table(HEADER, table_rows(each))
    if out is not None:
        write_json(out / "compare.json", to_json(found, draws, seed))
        write_text(out / "compare.md", page(found, draws, seed))
        typer.echo(f"look: {out / 'compare.md'}", err=True)


def _named_apart(
    cards: Sequence[Evaluation], first: Path, others: Sequence[Path]
) -> list[Evaluation]:
    """Add its folder to a name that several cards have."""
    names = [card.name for card in cards]
    return [
        dataclasses.replace(card, name=f"{card.name} ({path})")
        if names.count(card.name) > 1
        else card
        for card, path in zip(cards, (first, *others), strict=True)
    ]
