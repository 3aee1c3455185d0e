"""A config's ``custom_imports``: modules, or files beside it, that register further components."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigakit.core.errors import ComponentError
from gigakit.core.modules import python_files


def imported_files(custom_imports: Any, config: Path) -> list[tuple[str, Path]]:
    """Return module name and file of everything a config imports; what is not found is left out.

    Args:
        custom_imports: the config's ``dict(imports=[...])``.
        config: the config's file, to which file names are relative.
    """
    return [entry for name in import_names(custom_imports) for entry in _files(name, config)]


def import_names(custom_imports: Any) -> list[str]:
    """Return the modules and files that ``custom_imports`` names."""
    given = custom_imports.get("imports", []) if isinstance(custom_imports, Mapping) else []
    given = [given] if isinstance(given, str) else given
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


def is_found(name: str, config: Path) -> bool:
    """Tell whether a module or file that a config imports exists."""
    return bool(_files(name, config))


def import_custom(custom_imports: Any, config: Path) -> None:
    """Import what a config imports, so that its components are registered.

    Args:
        custom_imports: the config's ``dict(imports=[...])``.
        config: the config's file, to which file names are relative.

    Raises:
        ComponentError: a module or file is missing or fails.
    """
    for name in import_names(custom_imports):
        try:
            _import(name, config)
        except (ImportError, OSError) as error:
            raise ComponentError(
                f"cannot import '{name}': {error}",
                where="custom_imports",
                fix="mend it or its path",
            ) from error


def _import(name: str, config: Path) -> None:
    if not name.endswith(".py"):
        importlib.import_module(name)
        return
    path = (config.parent / name).resolve()
    module_name = _module_name(path)
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # before it runs: its classes must be picklable by worker processes
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _files(name: str, config: Path) -> list[tuple[str, Path]]:
    if not name.endswith(".py"):
        return list(python_files(name))
    path = (config.parent / name).resolve()
    return [(_module_name(path), path)] if path.is_file() else []


def _module_name(path: Path) -> str:
    return f"gigakit_custom_{path.stem}"
