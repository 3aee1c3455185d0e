"""Published weights: which files a config's tasks need, found in the user's folder."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gigakit.config.loading import LoadedConfig
from gigakit.core.errors import ConfigError

_KEY = "weights_files"


def with_weights(
    loaded: LoadedConfig, folder: Path | None, tasks: Collection[str]
) -> dict[str, Any]:
    """Return a config's values with the path of each task's weights in its place.

    ``weights_files`` names, for each task, the files that may hold its weights, the first found
    counts. Weights that a task names itself are left alone.

    Args:
        loaded: the config.
        folder: where the user keeps the published files.
        tasks: the sections that will run, such as ``preparation``.

    Raises:
        ConfigError: there is no such folder, or a file is missing; all are named at once.
    """
    values = copy.deepcopy(loaded.values)
    wanted = {
        task: names
        for task, names in (values.get(_KEY) or {}).items()
        if task in tasks and values.get(task) and not values[task].get("weights")
    }
    if folder is not None and not wanted:
        raise ConfigError(
            f"has no place for weights: it names no {_KEY}, or weights are set otherwise",
            where=loaded.path,
            fix="leave out --weights",
        )
    if folder is None and wanted:
        raise ConfigError(
            f"the weights of {loaded.name} are not part of gigakit",
            where="--weights",
            fix=f"name the folder that holds {_listed(wanted)}",
        )
    if folder is None:
        return values
    if not folder.is_dir():
        raise ConfigError("no such folder", where=f"--weights {folder}")
    missing = {}
    for task, names in wanted.items():
        found = next((folder / name for name in names if (folder / name).is_file()), None)
        if found is None:
            missing[task] = names
        else:
            values[task]["weights"] = str(found)
    if missing:
        raise ConfigError(
            f"does not hold {_listed(missing)}",
            where=f"--weights {folder}",
            fix=f"download what is missing; the head of {loaded.path} says from where",
        )
    return values


def _listed(wanted: dict[str, list[str]]) -> str:
    return ", and ".join(f"{' or '.join(names)} ({task})" for task, names in wanted.items())
