"""The runs of a cross-validated recipe: one a fold and candidate."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigakit.ablation.axes import split_values
from gigakit.ablation.plan import config_digest
from gigakit.config import check_config, load_config
from gigakit.core.errors import ConfigError
from gigakit.core.files import digest8, file_sha256
from gigakit.tasks.evaluation.splits import Split

SETTINGS_FILE = "run.json"


@dataclass(frozen=True)
class FoldRun:
    """One training run.

    Args:
        fold: name of its split.
        candidate: what it sets of what validation chooses, such as ``lr=0.001``; may be empty.
        folder: of the run.
        log: what it prints.
        overrides: what it sets over the recipe.
        seed: of the run.
        digest: of its config, labels and split; a finished run of another one is another run.
    """

    fold: str
    candidate: str
    folder: Path
    log: Path
    overrides: tuple[str, ...]
    seed: int
    digest: str

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.fold} {self.candidate}".strip()


@dataclass(frozen=True)
class FoldPlan:
    """All runs of an evaluation.

    Args:
        recipe: path of the recipe.
        name: the recipe's name.
        runs: candidates of the first fold, then of the next.
        init_from: weights that every run starts from.
    """

    recipe: str
    name: str
    runs: tuple[FoldRun, ...]
    init_from: Path | None = None

    def of_fold(self, fold: str) -> list[FoldRun]:
        """Return a fold's runs, one a candidate."""
        return [run for run in self.runs if run.fold == fold]


def target_of(recipe: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what a recipe predicts: ``columns``, ``kind`` and the like.

    Raises:
        ConfigError: it is no recipe of a slide-level task.
    """
    loaded = load_config(recipe, overrides)
    target = loaded.values.get("target")
    if not isinstance(target, dict):
        raise ConfigError(
            "is no recipe of a slide-level task: it has no 'target'",
            where=loaded.path,
            fix="see: gigakit list recipe",
        )
    return dict(target)


def candidates(choose: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the overrides of each candidate, by its label; one without any where none is asked.

    Args:
        choose: texts ``key=v1,v2``, crossed.

    Raises:
        ConfigError: a text has another form.
    """
    axes = []
    for text in choose:
        key, equals, values = text.partition("=")
        if not key or not equals or not values:
            raise ConfigError(
                f"cannot read '{text}'", where="--choose", fix="write --choose key=v1,v2"
            )
        name = key.rsplit(".", 1)[-1]
        axes.append([(f"{name}={value}", f"{key}={value}") for value in split_values(values)])
    found = {}
    for chosen_values in itertools.product(*axes):
        label = ",".join(label for label, _ in chosen_values)
        found[label] = tuple(override for _, override in chosen_values)
    return found


def plan_folds(
    recipe: str,
    splits: Sequence[Split],
    rounds: Sequence[int],
    *,
    out: Path,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
    choose: Sequence[str] = (),
    init_from: Path | None = None,
    seed: int = 0,
) -> FoldPlan:
    """Return the runs of an evaluation, each one's config checked.

    Args:
        recipe: path or name.
        splits: the folds.
        rounds: of each fold; runs of another round have another seed.
        out: folder of the evaluation, which holds ``splits.csv``.
        settings: values by config key in all runs, ``features``, ``labels`` and ``splits`` among
            them.
        overrides: the user's own.
        choose: texts ``key=v1,v2`` for validation to choose from.
        init_from: weights that every run starts from.
        seed: of the runs of the first round.

    Raises:
        ConfigError: a run's config has problems.
    """
    base = load_config(recipe, overrides)
    files = [file_sha256(Path(settings["labels"]))]
    if init_from is not None:
        if not init_from.is_file():
            raise ConfigError("no such file", where=init_from, fix="check --init-from")
        files.append(file_sha256(init_from))
    runs = []
    for (split, turn), (label, chosen) in itertools.product(
        zip(splits, rounds, strict=True), candidates(choose).items()
    ):
        setting = (
            *overrides,
            *(f"{key}={value!r}" for key, value in settings.items()),
            f"target.split_column={split.name!r}",
            f"randomness.seed={seed + turn}",
            *chosen,
        )
        loaded = load_config(recipe, setting)
        problems = check_config(loaded)
        if problems:
            raise ConfigError("; ".join(map(str, problems)), where=f"{split.name} {label}".strip())
        digest = digest8([config_digest(loaded.values), files, split.parts.tolist()])
        place = Path(split.name) / _safe(label)
        log = out / "logs" / f"{'-'.join(place.parts)}.log"
        run = FoldRun(split.name, label, out / "folds" / place, log, setting, seed + turn, digest)
        runs.append(run)
    return FoldPlan(str(base.path), base.name, tuple(runs), init_from)


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() or c in "._-+=," else "_" for c in label)
