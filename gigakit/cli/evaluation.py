"""What probes and recipes share in ``gigakit evaluate``: the options, the cohort, the screen."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gigakit.core.errors import ConfigError

if TYPE_CHECKING:
    from gigakit.data.slide_labels import SlideLabels
    from gigakit.tasks.evaluation.card import Card
    from gigakit.tasks.evaluation.evaluation import Areas, Unit
    from gigakit.tasks.evaluation.protocol import Protocol
    from gigakit.tasks.evaluation.splits import Split


@dataclass(frozen=True)
class Asked:
    """The options that probes and recipes share; see ``gigakit evaluate --help``."""

    model: str
    features: Path
    labels: Path
    columns: tuple[str, ...]
    kind: str | None
    patient: str
    folds: int
    repeats: int
    fractions: str | None
    splits: Path | None
    val: float
    unit: str
    areas: str
    draws: int
    allow_missing: bool
    seed: int
    out: Path | None
    command: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the evaluation goes."""
        name = "-".join([Path(self.model).stem, *self.columns])
        return self.out or Path("work_dirs/evaluate") / name

    @property
    def scored(self) -> Unit:
        """What is scored.

        Raises:
            ConfigError: it is neither patient nor slide.
        """
        if self.unit == "patient":
            return "patient"
        if self.unit == "slide":
            return "slide"
        raise ConfigError(f"got '{self.unit}'", where="--unit", fix="choose patient or slide")

    @property
    def ranked(self) -> Areas:
        """Where areas are taken.

        Raises:
            ConfigError: neither in folds nor pooled.
        """
        if self.areas == "folds":
            return "folds"
        if self.areas == "pooled":
            return "pooled"
        raise ConfigError(f"got '{self.areas}'", where="--areas", fix="choose folds or pooled")

    def protocol(self) -> Protocol:
        """Return how slides are split.

        Raises:
            ConfigError: fractions that are no numbers, or two ways to split.
        """
        from gigakit.tasks.evaluation.protocol import Protocol

        if self.splits is not None and self.fractions is not None:
            raise ConfigError("--splits and --fractions exclude each other", fix="give one of them")
        parts = None
        if self.fractions is not None:
            numbers = [one / 100 for one in numbers_of(self.fractions, "--fractions", "/")]
            if len(numbers) != 3:  # noqa: PLR2004
                raise ConfigError(
                    f"got '{self.fractions}'", where="--fractions", fix="three parts: 70/10/20"
                )
            parts = (numbers[0], numbers[1], numbers[2])
        return Protocol(self.folds, self.repeats, parts, self.splits, self.val, self.seed)


@dataclass(frozen=True)
class Cohort:
    """The labelled slides of an evaluation, those of them that have features, and the splits."""

    labelled: SlideLabels
    data: SlideLabels
    splits: list[Split]
    notes: list[str]
    facts: dict[str, Any]


def read_cohort(asked: Asked) -> Cohort:
    """Read labels, check features, split, and store the splits."""
    from gigakit.data.feature_folder import FeatureFolder
    from gigakit.data.slide_labels import read_slide_labels
    from gigakit.tasks.evaluation.protocol import protocol_facts, store_splits, with_features
    from gigakit.tasks.evaluation.scores import require_evaluation_libraries

    require_evaluation_libraries()
    protocol = asked.protocol()
    labelled = read_slide_labels(
        asked.labels, asked.columns, kind=asked.kind, patient=asked.patient
    )
    data = with_features(labelled, FeatureFolder(asked.features), allow_missing=asked.allow_missing)
    splits, notes = protocol.split(data)
    store_splits(asked.folder, labelled, data, splits)
    facts = {
        **protocol_facts(protocol, data, asked.labels),
        "features": str(asked.features),
        "command": shlex.join(asked.command),
    }
    for line in (str(data.task), f"{facts['cohort']}; {protocol}", *data.notes, *notes):
        announce(line)
    return Cohort(labelled, data, splits, [*data.notes, *notes], facts)


def show(card: Card, folder: Path) -> None:
    """Print a card's scores."""
    from gigakit.cli.tables import print_table
    from gigakit.tasks.evaluation.card_page import tables

    typer.echo(f"{card.evaluation.name}: {card.scope}; in brackets: {card.meaning}")
    for note in card.notes:
        typer.echo(f"note: {note}")
    for title, header, rows in tables(card)[:2]:
        typer.echo(f"\n{title}")
        print_table(header, rows)
    announce(f"look: {folder / 'card.md'}; tensorboard --logdir {folder}")


def numbers_of(text: str, where: str, separator: str = ",") -> list[float]:
    """Return the numbers of a text.

    Raises:
        ConfigError: it holds something else, or numbers below zero.
    """
    try:
        numbers = [float(one) for one in text.split(separator)]
    except ValueError:
        raise ConfigError(
            f"'{text}' are no numbers", where=where, fix=f"such as {separator.join('124')}"
        ) from None
    if min(numbers) < 0:
        raise ConfigError(f"'{text}' holds a number below zero", where=where, fix="take it out")
    return numbers


def announce(line: str) -> None:
    """Tell on standard error."""
    typer.echo(line, err=True)
