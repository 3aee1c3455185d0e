"""``gigakit doctor``: what this machine offers, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

_GIB = 2**30
_WANTED_FREE_GIB = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        check: what was looked at.
        state: ``ok``, ``note`` (works, but know this) or ``FAIL``.
        found: what was found.
        fix: what to do about a failure.
    """

    check: str
    state: str
    found: str
    fix: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Check the installation, the devices, the attention backends, the disk and the sample."""
    findings = [finding for check in _CHECKS for finding in check()]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == "FAIL" for finding in findings):
        raise typer.Exit(1)


def _packages() -> list[Finding]:
    versions = f"Python {sys.version.split()[0]}"
    findings = [Finding("gigakit", "ok", f"{importlib.metadata.version('gigakit')}, {versions}")]
    for name in ("torch", "mmengine", "openslide-python", "opencv-python", "h5py", "tensorboard"):
        try:
            findings.append(Finding(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, "FAIL", "not installed", f"pip install {name}"))
    return findings


def _opencv() -> list[Finding]:
    from gigakit.cli.libgl import explain_import_error

    try:
        import cv2  # noqa: F401
    except ImportError as error:
        return [
            Finding("OpenCV", "FAIL", str(error), explain_import_error(error) or "reinstall it")
        ]
    return [Finding("OpenCV", "ok", "imports")]


def _openslide() -> list[Finding]:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return [Finding("OpenSlide", "FAIL", str(error), "pip install openslide-bin")]
    return [Finding("OpenSlide", "ok", f"library {openslide.__library_version__}")]


def _devices() -> list[Finding]:
    import torch

    findings = [Finding("CPU", "ok", f"{torch.get_num_threads()} threads")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / _GIB
            findings.append(Finding(f"cuda:{index}", "ok", f"{properties.name}, {memory:.0f} GiB"))
    else:
        findings.append(Finding("CUDA", "note", "no CUDA device: everything runs on the CPU"))
    return findings


def _attention() -> list[Finding]:
    import torch

    from gigakit.nn.attention.backends import BACKENDS, availability

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    findings = []
    for name in BACKENDS:
        reason = availability(name, device, torch.float32)
        found = f"runs on {device.type}" if reason is None else reason
        findings.append(Finding(f"attention {name}", "ok" if reason is None else "note", found))
    return findings


def _disk() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / _GIB
    if free < _WANTED_FREE_GIB:
        return [
            Finding("disk", "FAIL", f"{free:.1f} GiB free here", "free some, or work elsewhere")
        ]
    return [Finding("disk", "ok", f"{free:.0f} GiB free here")]


def _sample() -> list[Finding]:
    from gigakit.wsi.sample import cached_sample

    path = cached_sample()
    if path is None:
        return [Finding("sample slide", "note", "not here yet: the first use fetches it (2 MB)")]
    return [Finding("sample slide", "ok", str(path))]


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _packages,
    _opencv,
    _openslide,
    _devices,
    _attention,
    _disk,
    _sample,
)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("check", "state", "found", "fix")
    colours = {"ok": "green", "note": "yellow", "FAIL": "bold red"}
    for finding in findings:
        colour = colours[finding.state]
        table.add_row(finding.check, f"[{colour}]{finding.state}[/]", finding.found, finding.fix)
    Console().print(table)
