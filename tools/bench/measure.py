"""Times of several ways in one process, in turns, and the memory each needs at its peak."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gigakit.core.heap import keep_freed_blocks, return_kept_blocks


class Times(NamedTuple):
    """Medians over the turns, in seconds: of the process's CPU time, and by the clock."""

    cpu: float
    wall: float


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    *,
    turns: int,
    before: Callable[[str], object] | None = None,
) -> dict[str, Times]:
    """Time each way once a turn, after one unmeasured turn, so that other work falls on all.

    ``before`` is called with a way's name each time, unmeasured.
    """
    taken: dict[str, list[Times]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            if before is not None:
                before(name)
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            once = Times(time.process_time() - cpu, time.perf_counter() - wall)
            if turn:
                taken[name].append(once)
    return {
        name: Times(*(statistics.median(column) for column in zip(*all_turns, strict=True)))
        for name, all_turns in taken.items()
    }


def once(way: Callable[[], object]) -> tuple[Times, float]:
    """Return the times of a single cold call, and its :func:`peak_mib`."""
    taken: list[Times] = []

    def timed() -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        way()
        taken.append(Times(time.process_time() - cpu, time.perf_counter() - wall))

    peak = peak_mib(timed)
    return taken[0], peak


def peak_mib(way: Callable[[], object]) -> float:
    """Return by how many MiB the process's resident memory rises while a way runs (Linux).

    Raises:
        OSError: the kernel does not let the process reset its peak.
    """
    # freed memory that the allocator keeps would hide what the way needs
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    way()
    return (_status("VmHWM") - before) / 1024


def memory_as(kept: str) -> None:
    """Let freed memory be handed out as ``"by glibc"`` after a while, or as gigakit's runs have it.

    Args:
        kept: ``"by glibc"``, ``"returned"`` or ``"kept"``, see :mod:`gigakit.core.heap`.
    """
    if kept == "kept":
        keep_freed_blocks()
        return
    return_kept_blocks()
    if kept == "by glibc":
        # where its own limits stand once blocks of 32 MiB were freed
        library = ctypes.CDLL(None)
        library.mallopt(-3, 32 * 2**20)
        library.mallopt(-1, 64 * 2**20)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status has no {name}")
