"""The commands that make an ablation, or one of its runs, again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from gigakit.ablation.plan import Plan, Run
from gigakit.config import recipes

FILE = "commands.sh"


def commands_text(plan: Plan, command: Sequence[str]) -> str:
    """Return a script: the whole ablation, and below it each run by itself.

    Args:
        plan: the ablation.
        command: the command line that made it; empty where nothing noted it.
    """
    whole = shlex.join(command) if command else "# was not noted"
    lines = ["# the whole ablation; finished runs are skipped where their folders are", whole, ""]
    lines.append("# or each run by itself")
    lines += [shlex.join(run_command(plan, run)) for run in plan.runs]
    return "\n".join(lines) + "\n"


def run_command(plan: Plan, run: Run) -> list[str]:
    """Return the command that trains one run as the ablation does, in its folder of the plan."""
    # a recipe that ships with gigakit has a name, which means the same on every machine
    shipped = recipes().get(plan.name)
    known = shipped is not None and shipped.resolve() == Path(plan.recipe).resolve()
    words = ["gigakit", "train", plan.name if known else plan.recipe]
    for override in run.overrides:
        words += ["--set", override]
    return [*words, "--work-dir", run.folder]
