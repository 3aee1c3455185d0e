"""The config of a run as text that makes the same run again."""

from __future__ import annotations

from typing import Any

from gigakit.config.loading import LoadedConfig
from gigakit.config.plugins import import_names
from gigakit.config.writing import dump_config


def rerunnable_text(loaded: LoadedConfig) -> str:
    """Return a config, resolved, as the text of a file that may lie anywhere.

    Names of files in ``custom_imports`` are made absolute, since they are relative to the file that
    names them. Above the values stand the recipe and the overrides that they came from.
    """
    head = [f"# {loaded.name}, resolved: bases, sections and overrides are worked in"]
    head += [f"# --set {' '.join(text.split())}" for text in loaded.overrides]
    values = dict(loaded.values)
    given: Any = values.get("custom_imports")
    if given:
        values["custom_imports"] = {**given, "imports": _absolute(given, loaded)}
    return "\n".join(head) + "\n" + dump_config(values)


def _absolute(custom_imports: Any, loaded: LoadedConfig) -> list[str]:
    return [
        str((loaded.path.parent / name).resolve()) if name.endswith(".py") else name
        for name in import_names(custom_imports)
    ]
