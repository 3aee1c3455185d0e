"""What a process has used: memory and processor time, its children included."""

from __future__ import annotations

import resource
import sys
import time

import torch

# ru_maxrss is in kilobytes on Linux and in bytes on macOS
_RSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


def peak_memory_mb() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _RSS_PER_MB


def peak_cuda_memory_mb() -> float | None:
    """Return the most CUDA memory allocated so far in MiB, or ``None`` without CUDA."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.max_memory_allocated() / 2**20


def cpu_seconds() -> float:
    """Return the processor time of this process and of its finished children in seconds."""
    usages = (resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Stopwatch:
    """Wall and processor time of a run, over all its parts when it is resumed."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    @property
    def seconds(self) -> float:
        """Wall time in seconds."""
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """Processor time in seconds."""
        return cpu_seconds() - self._cpu

    def add(self, seconds: float, cpu: float) -> None:
        """Count the time of an earlier part too."""
        self._wall -= seconds
        self._cpu -= cpu
