"""The plan of an ablation: its cells, where each run lives, and what it sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gigakit.ablation.axes import Choice
from gigakit.ablation.baseline import find_baseline
from gigakit.ablation.cells import Mode, cell_names, make_cells
from gigakit.config import (
    LoadedConfig,
    Problem,
    apply_section,
    catalogue_of,
    check_config,
    load_config,
    uses_sample,
)
from gigakit.config.problems import find_problems
from gigakit.core.catalogue import Catalogue
from gigakit.core.errors import ConfigError
from gigakit.core.files import digest8, write_json

# what the data are prepared from
_PREPARED_FROM = ("preparation", "cohort")


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
    mode: Mode = "grid",
    baseline: str | None = None,
) -> Plan:
    """Make the cells of an ablation, give each its seeds, and check the config of every cell.

    The recipe's ``ablation_sample`` section applies where the cohort is the sample. The folder's
    name holds a digest of the recipe as overridden, so the same command finds its finished runs.

    Args:
        recipe: path or name of the recipe.
        choices: the chosen values of each axis; in mode ``list``, the choices of each cell.
        overrides: the user's own, in every cell.
        seeds: runs per cell.
        out: the ablation's folder; default ``<work_root>/ablate/<recipe>-<digest>``.
        work_root: where runs live.
        mode: how choices make cells, see :func:`gigakit.ablation.cells.make_cells`.
        baseline: a cell, or some of its labels; by default the cell that is the recipe itself.

    Raises:
        ConfigError: no axis, an axis that changes nothing, an unknown baseline, or problems of
            cells' configs, all at once.
    """
    if not choices or seeds < 1:
        raise ConfigError("no axis, or no seed, is named", fix="try --attention dilated,flash")
    common = with_sample_section(recipe, overrides)
    base = load_config(recipe, common)
    keys = {choice.axis.name: choice.axis.keys for chosen in choices for choice in chosen}
    _refuse_idle_axes(base, keys)
    cells = make_cells(base, choices, mode)
    names = cell_names(cells)
    settings, resolved = _resolve(recipe, base, common, {c.title: c.settings for c in cells})
    runs = []
    for cell, name, given, values in zip(cells, names, settings, resolved, strict=True):
        for seed in range(seeds):
            seeded = {**values, "randomness": {**values.get("randomness", {}), "seed": seed}}
            text = (*given, f"randomness.seed={seed}")
            runs.append(Run(name, cell.labels, seed, text, config_digest(seeded)))
    own = config_digest(_section_applied(recipe, (*common, "randomness.seed=0")).values)
    found = find_baseline(
        {run.cell: run.labels for run in runs},
        next((run.cell for run in runs if run.digest == own), runs[0].cell),
        baseline,
    )
    digest = digest8({"values": base.values, "sample": base.values.get("cohort") == "sample"})
    folder = out or work_root / "ablate" / f"{base.name.replace('/', '-')}-{digest}"
    return Plan(str(base.path), base.name, folder, keys, tuple(runs), found)


def config_digest(values: Mapping[str, Any]) -> str:
    """Name a resolved config by what its run depends on."""
    ignored = ("ablation", "ablation_sample", "sample")
    return digest8({key: value for key, value in values.items() if key not in ignored})


def with_sample_section(recipe: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides with the recipe's ``ablation_sample`` first, where the sample is used."""
    loaded = load_config(recipe, overrides)
    if not uses_sample(loaded.values):
        return tuple(overrides)
    section: dict[str, Any] = loaded.values.get("ablation_sample", {})
    named = {text.partition("=")[0] for text in overrides}
    own = [f"{key}={value!r}" for key, value in section.items() if key not in named]
    return (*own, *overrides)


def _resolve(
    recipe: str, base: LoadedConfig, common: Sequence[str], cells: Mapping[str, dict[str, Any]]
) -> tuple[list[tuple[str, ...]], list[dict[str, Any]]]:
    """Return what each cell sets as overrides, and its resolved values.

    Raises:
        ConfigError: all that is wrong with the recipe, or else with any cell.
    """
    problems = [str(problem) for problem in check_config(base)]
    if problems:
        raise ConfigError("\n".join(problems))
    catalogue = catalogue_of(base)
    texts, resolved, wrong = [], [], []
    for title, settings in cells.items():
        text = (*common, *(f"{key}={value!r}" for key, value in settings.items()))
        try:
            loaded = _section_applied(recipe, (*text, "randomness.seed=0"))
            wrong += [f"cell {title}: {problem}" for problem in _problems(loaded, catalogue)]
        except ConfigError as error:
            wrong += [f"cell {title}: {line}" for line in str(error).splitlines()]
            continue
        texts.append(text)
        resolved.append(loaded.values)
    if wrong:
        raise ConfigError("\n".join(wrong))
    return texts, resolved


def _section_applied(recipe: str, overrides: Sequence[str]) -> LoadedConfig:
    return apply_section(load_config(recipe, overrides), "sample")


def _problems(loaded: LoadedConfig, catalogue: Catalogue) -> list[Problem]:
    return [
        Problem(loaded.origin(found.key), found.key, found.what, found.suggestion)
        for found in find_problems(loaded.values, catalogue)
    ]


def _refuse_idle_axes(base: LoadedConfig, keys: Mapping[str, Sequence[str]]) -> None:
    """Refuse an axis of the preparation where features or tiles are given, as nothing is prepared.

    Raises:
        ConfigError: there is one.
    """
    given = next((name for name in ("features", "tiles") if base.values.get(name)), None)
    for name, changed in keys.items():
        if given and changed and all(key.startswith(_PREPARED_FROM) for key in changed):
            raise ConfigError(
                f"changes nothing, since {given} are given and nothing is prepared",
                where=f"axis {name}",
                fix=f"give a cohort in the place of {given}",
            )
