"""Is what is installed what gigakit needs, and what it was tested with?"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gigakit import __version__
from gigakit.cli.doctor_findings import FAIL, PASS, WARN, Check, Finding

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
# tools of those who change gigakit itself
_FOR_DEVELOPERS = ("dev",)
_OLDEST_PYTHON = (3, 11)
# kernels of other projects, which no attention backend needs
_NOT_NEEDED = ("xformers", "flash-attn")
_INSTALL = "pip install -c constraints.txt -e ."


def tested_versions() -> dict[str, str]:
    """Return the versions that were tested together; empty where ``constraints.txt`` is not here.

    It lies inside an installed package, and beside a source checkout's.
    """
    package = Path(__file__).resolve().parents[1]
    for path in (package / "assets" / "constraints.txt", package.parent / "constraints.txt"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            pairs = (line.partition(";")[0].strip().partition("==") for line in lines)
            return {_canonical(name): version for name, pin, version in pairs if pin}
    return {}


def _python() -> list[Finding]:
    found = f"gigakit {__version__}, Python {sys.version.split()[0]}"
    if sys.version_info < _OLDEST_PYTHON:
        return [Finding("gigakit", FAIL, found, "make an environment of Python 3.11 or newer")]
    return [Finding("gigakit", PASS, found)]


def _required() -> list[Finding]:
    tested = tested_versions()
    findings = [_package(name, tested.get(_canonical(name))) for name in _names(extra=None)]
    if not tested:
        findings.append(
            Finding(
                "tested versions", WARN, "constraints.txt is not here", "reinstall gigakit from pip"
            )
        )
    return findings


def _package(name: str, tested: str | None) -> Finding:
    version = _version(name)
    if version is None:
        pin = f"=={tested}" if tested else ""
        return Finding(name, FAIL, "not installed", f"pip install {name}{pin}")
    # the index's CUDA builds, and others, have a local part: 2.13.0+cpu
    if tested and version.partition("+")[0] != tested:
        return Finding(name, WARN, f"{version}, tested with {tested}", _INSTALL)
    return Finding(name, PASS, version)


def _extras() -> list[Finding]:
    findings = []
    for extra in importlib.metadata.metadata("gigakit").get_all("Provides-Extra") or []:
        names = list(_names(extra=extra))
        if extra in _FOR_DEVELOPERS or not names:
            continue
        missing = [name for name in names if _version(name) is None]
        if missing:
            found, fix = f"not installed: {', '.join(missing)}", f"{_INSTALL[:-1]}'.[{extra}]'"
            findings.append(Finding(f"extra {extra}", WARN, found, fix))
        else:
            found = ", ".join(f"{name} {_version(name)}" for name in names)
            findings.append(Finding(f"extra {extra}", PASS, found))
    return findings


def _kernels() -> list[Finding]:
    return [
        Finding(name, PASS, _version(name) or "not installed; no attention backend needs it")
        for name in _NOT_NEEDED
    ]


def _names(*, extra: str | None) -> Iterator[str]:
    """Yield the distributions that gigakit requires, or those of one extra."""
    for line in importlib.metadata.requires("gigakit") or []:
        requirement, _, marker = line.partition(";")
        named, of = _REQUIREMENT.match(requirement.strip()), _EXTRA.search(marker)
        if named and (of[1] if of else None) == extra and _canonical(named[1]) != "gigakit":
            yield named[1]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PACKAGE_CHECKS: tuple[Check, ...] = (_python, _required, _extras, _kernels)
