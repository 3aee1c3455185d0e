"""A plan as its folder holds it, so that an ablation can be told anywhere, without its recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gigakit.ablation.plan import Plan, Run
from gigakit.config.recipes import recipe_name
from gigakit.core.errors import ConfigError
from gigakit.core.files import write_json

FILE = "plan.json"
COMMAND = "command.json"


def is_ablation(folder: Path) -> bool:
    """Tell whether a folder is an ablation's."""
    return (folder / FILE).is_file()


def read_plan(folder: Path) -> Plan:
    """Return the plan that a folder holds, whatever machine wrote it.

    Args:
        folder: of the ablation; the plan's ``out`` is this one, wherever it was made.

    Raises:
        ConfigError: there is no plan, or it cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(
            f"is no folder of an ablation: it has no {FILE}",
            where=folder,
            fix="name the folder that gigakit ablate wrote",
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        runs = tuple(_run(entry) for entry in stored["runs"])
        keys = {name: tuple(keys) for name, keys in stored["axes"].items()}
        recipe = str(stored["recipe"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"cannot be read: {error!r}", where=path) from error
    if not runs:
        raise ConfigError("plans no run", where=path)
    name = stored.get("name") or recipe_name(Path(recipe))
    return Plan(recipe, name, folder, keys, runs, baseline=stored.get("baseline") or "")


def note_command(folder: Path, command: Sequence[str]) -> None:
    """Note the command line that makes an ablation, before its runs start.

    Args:
        folder: of the ablation.
        command: its words.
    """
    write_json(folder / COMMAND, list(command))


def stored_command(folder: Path) -> list[str]:
    """Return the command line that made an ablation; empty where nothing noted it."""
    path = folder / COMMAND
    if not path.is_file():
        return []
    return [str(word) for word in json.loads(path.read_text(encoding="utf-8"))]


def _run(entry: dict[str, Any]) -> Run:
    known = {field.name for field in dataclasses.fields(Run)}
    values = {name: value for name, value in entry.items() if name in known}
    values["overrides"] = tuple(values["overrides"])
    return Run(**values)
