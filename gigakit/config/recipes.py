"""Where recipes lie: inside an installed package, or beside it in a source checkout."""

from __future__ import annotations

import json
from pathlib import Path

from gigakit.core.catalogue import nearest
from gigakit.core.errors import ConfigError

# configs of published encoders, which embed and are not trained
ENCODERS = "encoders"
# what a run's folder holds: the config it was trained with, and what else it came from
RUN_CONFIG, RUN_RECORD = "config.py", "environment.json"
_PACKAGE = Path(__file__).resolve().parents[1]


def recipes_folder() -> Path:
    """Return the folder ``registry_configs`` of this installation."""
    inside = _PACKAGE / "registry_configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "registry_configs"


def recipes() -> dict[str, Path]:
    """Return the recipes that ship with gigakit by name, such as ``tiny/slide``."""
    root = recipes_folder()
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not any(part.startswith("_") for part in parts):
            found["/".join(parts)] = path
    return found


def find_recipe(path_or_name: str | Path) -> Path:
    """Return the file of a recipe.

    Args:
        path_or_name: a path, the name of a recipe that ships with gigakit, or the folder of a run.

    Raises:
        ConfigError: there is none.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path.resolve()
    known = recipes()
    name = path.with_suffix("").as_posix() if path.suffix == ".py" else path.as_posix()
    if name in known:
        return known[name]
    if path.is_dir():
        if (path / RUN_CONFIG).is_file():
            return (path / RUN_CONFIG).resolve()
        raise ConfigError("is a folder", where=path, fix="name a recipe's file, or a run's folder")
    name = name.removeprefix("registry_configs/")
    if name in known:
        return known[name]
    close = nearest(name, known)
    fix = f"did you mean '{close}'?" if close else "see: gigakit list recipe"
    raise ConfigError("no such recipe", where=path_or_name, fix=fix)


def find_encoder(path_or_name: str) -> Path:
    """Return the config of a published encoder: a path, or a name under ``encoders/``.

    Raises:
        ConfigError: there is none.
    """
    path = Path(path_or_name)
    return find_recipe(path if path.is_file() else f"{ENCODERS}/{path_or_name}")


def recipe_name(path: Path) -> str:
    """Return the name of a recipe: its place under ``registry_configs``, else its file's stem.

    The config of a run has the name of the recipe that the run was made from.
    """
    root = recipes_folder()
    if path.is_relative_to(root):
        return path.relative_to(root).with_suffix("").as_posix()
    record = path.with_name(RUN_RECORD)
    if path.name == RUN_CONFIG and record.is_file():
        recipe = json.loads(record.read_text(encoding="utf-8")).get("recipe")
        return str(recipe or path.stem)
    return path.stem
