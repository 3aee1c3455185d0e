"""One line of what ``gigakit doctor`` reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: what was looked at.
        state: ``PASS``, ``WARN`` (works less well, or not yet) or ``FAIL``.
        found: what was found, with the reason.
        fix: what to do about a warning or a failure.
    """

    check: str
    state: str
    found: str
    fix: str = ""


Check = Callable[[], list[Finding]]
