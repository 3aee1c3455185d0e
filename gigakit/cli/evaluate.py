"""``gigakit evaluate``: from features and a table of labels to numbers with intervals."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.options import Overrides

if TYPE_CHECKING:
    from gigakit.cli.evaluation import Asked

PROBES = ("linear", "neighbours", "prototypes", "published-linear")


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help=f"A recipe of a slide-level task, or a probe: {', '.join(PROBES)}."),
    ],
    features: Annotated[
        Path,
        typer.Option("--features", help="Folder of tile features, or (probes) slide embeddings."),
    ],
    labels: Annotated[
        Path, typer.Option("--labels", help="CSV: slide_id, patient_id and label columns.")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="Label column; repeatable; survival: time, then event."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="classification, multi_label, regression or survival; default: by the values.",
        ),
    ] = None,
    patient: Annotated[
        str, typer.Option("--patient", help="Column of patients, kept together.")
    ] = "patient_id",
    folds: Annotated[int, typer.Option("--folds", min=1, help="Folds, or random draws.")] = 10,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Of the folds.")] = 1,
    fractions: Annotated[
        str | None,
        typer.Option("--fractions", help="Random draws instead of folds; the paper: 70/10/20."),
    ] = None,
    splits: Annotated[
        Path | None, typer.Option("--splits", help="A file of splits instead, or CLAM's folder.")
    ] = None,
    val: Annotated[
        float, typer.Option("--val", min=0, max=0.9, help="Share of patients for validation.")
    ] = 0.1,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            "--choose",
            metavar="KEY=V1,V2",
            help="Recipe: a config key that each fold's val chooses; repeatable.",
        ),
    ] = None,
    overrides: Overrides = None,
    init_from: Annotated[
        Path | None, typer.Option("--init-from", help="Recipe: weights that every run starts from.")
    ] = None,
    pool: Annotated[
        str, typer.Option("--pool", help="Probe: tiles to a vector; mean, max, min, std; a+b.")
    ] = "mean",
    embedding: Annotated[
        str, typer.Option("--embedding", help="Probe: cls, mean, last_cls or last_mean.")
    ] = "cls",
    layers: Annotated[
        str, typer.Option("--layers", help="Probe: last, all, 5, 5+11, 5-11; a,b to choose.")
    ] = "last",
    settings: Annotated[
        str | None,
        typer.Option("--settings", help="Probe: its settings to choose from, such as 0.01,1."),
    ] = None,
    inner_folds: Annotated[
        int,
        typer.Option("--inner-folds", min=0, help="Probe: choose by folds of train and val."),
    ] = 0,
    shots: Annotated[
        str | None,
        typer.Option("--shots", help="Probe: training patients a class, such as 1,2,4,8."),
    ] = None,
    shot_draws: Annotated[
        int, typer.Option("--shot-draws", min=1, help="Draws of them, in each fold.")
    ] = 5,
    unit: Annotated[
        str, typer.Option("--unit", help="Score patients (mean of their slides), or slides.")
    ] = "patient",
    areas: Annotated[
        str, typer.Option("--areas", help="AUROC, AUPRC: mean over folds, or pooled in a round.")
    ] = "folds",
    draws: Annotated[
        int, typer.Option("--draws", min=10, help="Draws of patients for the intervals.")
    ] = 1000,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out slides without features.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Recipe: runs at once.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of splits, runs and draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: work_dirs/evaluate/<model>-<label>.")
    ] = None,
) -> None:
    """Evaluate a recipe or a frozen probe by patient: splits, folds, one card with intervals.

    Each fold of a recipe is a run of its own; finished ones are skipped when the command is
    repeated. Every choice is made by a fold's val patients; test patients are predicted once.
    """
    from gigakit.cli.evaluation import Asked
    from gigakit.cli.evaluation_probe import evaluate_probe
    from gigakit.cli.evaluation_recipe import evaluate_recipe

    asked = Asked(
        model=model,
        features=features,
        labels=labels,
        columns=tuple(label or ()),
        kind=kind,
        patient=patient,
        folds=folds,
        repeats=repeats,
        fractions=fractions,
        splits=splits,
        val=val,
        unit=unit,
        areas=areas,
        draws=draws,
        allow_missing=allow_missing,
        seed=seed,
        out=out,
        command=("gigakit", *sys.argv[1:]),
    )
    if model in PROBES:
        _refuse_for_probe(asked, {"--choose": choose, "--set": overrides, "--init-from": init_from})
        evaluate_probe(
            asked,
            pool=pool,
            embedding=embedding,
            layers=layers,
            settings=settings,
            inner_folds=inner_folds,
            shots=shots,
            shot_draws=shot_draws,
        )
    else:
        evaluate_recipe(
            asked,
            choose or (),
            overrides or (),
            init_from=init_from,
            jobs=jobs,
            shots=shots,
            shot_draws=shot_draws,
        )


def _refuse_for_probe(asked: Asked, given: Mapping[str, object]) -> None:
    from gigakit.core.errors import ConfigError

    for option, value in given.items():
        if value:
            raise ConfigError(
                f"{asked.model} is a probe and has no config",
                where=option,
                fix="probes choose by --settings and --layers",
            )
