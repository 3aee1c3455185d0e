"""The plan of an ablation: its cells, where each run lives, and what it sets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gigakit.ablation.axes import Choice
from gigakit.config import LoadedConfig, apply_section, check_config, load_config, uses_sample
from gigakit.core.errors import ConfigError
from gigakit.core.files import digest8, write_json


@dataclass(frozen=True)
class Run:
    """One training run of an ablation.

    Args:
        cell: the cell's name, such as ``attention=dilated``; also its folder.
        labels: the chosen label of each axis, by the axis's name.
        seed: seed of weights, data order, augmentation and masks.
        overrides: what the run sets over the recipe, as ``--set`` takes it.
        digest: names the resolved config, so that a finished run is known again.
    """

    cell: str
    labels: dict[str, str]
    seed: int
    overrides: tuple[str, ...]
    digest: str

    @property
    def folder(self) -> str:
        """The run's folder under the ablation's."""
        return f"{self.cell}/seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of an ablation, in the order in which they are made.

    Args:
        recipe: path of the recipe.
        name: the recipe's name.
        out: folder of the ablation.
        keys: config keys that each axis sets, by the axis's name.
        runs: seeds of the first cell, then of the next.
        baseline: name of the cell that the others are compared with.
    """

    recipe: str
    name: str
    out: Path
    keys: dict[str, tuple[str, ...]]
    runs: tuple[Run, ...]
    baseline: str = ""

    @property
    def cells(self) -> dict[str, dict[str, str]]:
        """The labels of each cell, by its name."""
        return {run.cell: run.labels for run in self.runs}

    @property
    def size(self) -> str:
        """How many cells, seeds and runs, in words."""
        counts = {"cell": len(self.cells), "seed": len(self.runs) // len(self.cells)}
        counted = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items()]
        return f"{' x '.join(counted)} = {len(self.runs)} run{'s' * (len(self.runs) > 1)}"

    def described(self) -> dict[str, Any]:
        """Return what ``plan.json`` holds."""
        return {
            "recipe": self.recipe,
            "name": self.name,
            "axes": self.keys,
            "baseline": self.baseline,
            "runs": [asdict(run) for run in self.runs],
        }

    def write(self) -> None:
        """Write ``plan.json`` into the ablation's folder."""
        write_json(self.out / "plan.json", self.described())


def make_plan(
    recipe: str,
    choices: Sequence[Sequence[Choice]],
    *,
    overrides: Sequence[str] = (),
    seeds: int = 1,
    out: Path | None = None,
    work_root: Path = Path("work_dirs"),
) -> Plan:
    """Cross the axes' choices with the seeds, and check the config of every cell.

    The recipe's ``ablation_sample`` section applies where the cohort is the sample. The folder's
    name holds a digest of the recipe as overridden, so the same command finds its finished runs.

    Args:
        recipe: path or name of the recipe.
        choices: the chosen values of each axis.
        overrides: the user's own, in every cell.
        seeds: runs per cell.
        out: the ablation's folder; default ``<work_root>/ablate/<recipe>-<digest>``.
        work_root: where runs live.

    Raises:
        ConfigError: no axis, or a cell's config has problems.
    """
    if not choices or seeds < 1:
        raise ConfigError("no axis, or no seed, is named", fix="try --attention dilated,flash")
    base = load_config(recipe, with_sample_section(recipe, overrides))
    digest = digest8({"values": base.values, "sample": base.values.get("cohort") == "sample"})
    runs = []
    for chosen in itertools.product(*choices):
        labels = {choice.axis.name: choice.label for choice in chosen}
        cell = ",".join(f"{name}={_safe(label)}" for name, label in labels.items())
        for seed in range(seeds):
            setting = (
                *with_sample_section(recipe, overrides),
                *(f"{k}={v!r}" for choice in chosen for k, v in choice.settings.items()),
                f"randomness.seed={seed}",
            )
            resolved = _checked(recipe, setting, cell)
            runs.append(Run(cell, labels, seed, setting, config_digest(resolved)))
    folder = out or work_root / "ablate" / f"{base.name.replace('/', '-')}-{digest}"
    keys = {chosen[0].axis.name: chosen[0].axis.keys for chosen in choices}
    return Plan(str(base.path), base.name, folder, keys, tuple(runs))


def config_digest(loaded: LoadedConfig) -> str:
    """Name a resolved config by what its run depends on."""
    values = {
        key: value
        for key, value in loaded.values.items()
        if key not in ("ablation", "ablation_sample", "sample")
    }
    return digest8(values)


def with_sample_section(recipe: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides with the recipe's ``ablation_sample`` first, where the sample is used."""
    loaded = load_config(recipe, overrides)
    if not uses_sample(loaded.values):
        return tuple(overrides)
    section: dict[str, Any] = loaded.values.get("ablation_sample", {})
    named = {text.partition("=")[0] for text in overrides}
    own = [f"{key}={value!r}" for key, value in section.items() if key not in named]
    return (*own, *overrides)


def _checked(recipe: str, overrides: Sequence[str], cell: str) -> LoadedConfig:
    loaded = apply_section(load_config(recipe, overrides), "sample")
    problems = check_config(loaded)
    if problems:
        found = "; ".join(str(problem) for problem in problems)
        raise ConfigError(found, where=f"cell {cell}")
    return loaded


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() or c in "._-+()" else "_" for c in label)
