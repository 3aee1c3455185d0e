"""Where runs that go on side by side compute: each on its share of threads and its own GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gigakit.core.errors import ConfigError

_THREADS = "OMP_NUM_THREADS"


def make_slots(jobs: int | None, gpus: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the environment of each run that goes on at a time.

    Where several go on, the machine's cores are divided among them, unless ``OMP_NUM_THREADS`` is
    set already.

    Args:
        jobs: how many; by default one, or one a GPU.
        gpus: as ``CUDA_VISIBLE_DEVICES`` takes them; dealt out in turn.

    Raises:
        ConfigError: fewer than one job, a GPU named twice, or GPUs without a job.
    """
    count = jobs if jobs is not None else max(1, len(gpus))
    if count < 1:
        raise ConfigError(f"got {count}", where="--jobs", fix="give 1 or more")
    if len(set(gpus)) < len(gpus):
        raise ConfigError("a GPU is named twice", where="--gpus", fix="name each once")
    if len(gpus) > count:
        raise ConfigError(
            f"{len(gpus)} GPUs for {count} jobs", where="--jobs", fix=f"give {len(gpus)} or more"
        )
    shared: dict[str, str] = {}
    if count > 1 and _THREADS not in os.environ:
        shared[_THREADS] = str(max(1, cores() // count))
    return [
        shared | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})
        for number in range(count)
    ]


def check_gpus(gpus: Sequence[str]) -> None:
    """Refuse GPUs that are not there; a run would go on without one.

    Raises:
        ConfigError: a number beyond those of this machine, or no CUDA at all.
    """
    if not gpus:
        return
    import torch  # noqa: PLC0415

    count = torch.cuda.device_count()
    for gpu in gpus:
        if not count or (gpu.isdigit() and int(gpu) >= count):
            found = f"this machine has {count} CUDA devices" if count else "there is no CUDA device"
            raise ConfigError(f"no GPU {gpu}: {found}", where="--gpus", fix="see: gigakit doctor")


def cores() -> int:
    """Return the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_slots(slots: Sequence[dict[str, str]]) -> str:
    """Say how many runs go on at a time, and where."""
    text = f"{len(slots)} at a time"
    if _THREADS in slots[0]:
        threads = int(slots[0][_THREADS])
        text += f", each on {threads} thread{'s' * (threads > 1)} of {cores()} cores"
    elif len(slots) > 1:
        text += f", each on as many threads as {_THREADS} says ({os.environ[_THREADS]})"
    gpus = list(dict.fromkeys(slot.get("CUDA_VISIBLE_DEVICES", "") for slot in slots))
    return f"{text}, on GPU {', '.join(gpus)}" if gpus[0] else text
