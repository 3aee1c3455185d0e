"""The state of the sources that a run was made with, as git tells it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

_PATIENCE_S = 10
# a longer difference is named by its digest alone
_LONGEST_DIFF = 100_000


def git_state(file: Path) -> dict[str, Any] | None:
    """Return commit, branch and uncommitted changes of the checkout that tracks a file.

    Args:
        file: such as a package's ``__init__.py``.

    Returns:
        ``commit``; ``branch``, ``None`` where none is checked out; ``dirty``; ``changed``, the
        lines of ``git status --porcelain``; ``diff``, that of tracked files to the commit, where it
        is not too long; ``diff_sha256``. ``None`` where no checkout tracks the file, as in an
        installed package, or where there is no git.
    """
    folder = file.parent
    if _git(folder, "ls-files", "--error-unmatch", file.name) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed, diff = _git(folder, "status", "--porcelain"), _git(folder, "diff", "HEAD")
    if commit is None or changed is None or diff is None:
        return None
    return {
        "commit": commit.strip(),
        "branch": (_git(folder, "symbolic-ref", "--short", "-q", "HEAD") or "").strip() or None,
        "dirty": bool(changed.strip()),
        "changed": changed.splitlines(),
        "diff": diff if len(diff) <= _LONGEST_DIFF else None,
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, ``None`` where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
