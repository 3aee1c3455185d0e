"""``gigakit doctor``: what this machine offers, and what to do about what it lacks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from gigakit.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigakit.cli.doctor_findings import Finding

_COLOURS = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check installation, devices, attention backends, libraries, disk and sample; tell each fix.

    Exit code 1 where something failed; a warning is about what works less well, or not yet.
    """
    from gigakit.cli.doctor_findings import FAIL, Finding
    from gigakit.cli.doctor_machine import MACHINE_CHECKS
    from gigakit.cli.doctor_packages import PACKAGE_CHECKS
    from gigakit.cli.doctor_torch import TORCH_CHECKS

    findings: list[Finding] = []
    for check in (*PACKAGE_CHECKS, *TORCH_CHECKS, *MACHINE_CHECKS):
        try:
            findings += check()
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            # a check that cannot be made must not hide the others
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(Finding(name, FAIL, f"{type(error).__name__}: {error}", "mend this"))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == FAIL for finding in findings):
        raise typer.Exit(1)


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "state", "found, and what to do")
    for finding in findings:
        found = Text(finding.found)
        if finding.fix:
            found.append(f"\n{finding.fix}", "italic")
        table.add_row(finding.check, Text(finding.state, _COLOURS[finding.state]), found)
    Console().print(table)
    counts = {state: sum(finding.state == state for finding in findings) for state in _COLOURS}
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items() if count))
