"""What the environment tells of the processes that torchrun, or SLURM's srun, started."""

from __future__ import annotations

import os
import re

from gigakit.core.errors import ConfigError

_PORTS = range(20000, 40000)


def environment_rank() -> int:
    """Return the number of this process among those of the run; 0 for one started alone."""
    number = os.environ.get("SLURM_PROCID", "0") if _started_by_srun() else "0"
    return int(os.environ.get("RANK", number))


def is_one_of_many() -> bool:
    """Tell whether a launcher started this process; SLURM's variables become those torch reads.

    Raises:
        ConfigError: the environment names a process of a group, but not the whole of it.
    """
    if "RANK" not in os.environ and _started_by_srun():
        os.environ.update(_from_slurm())
    if "RANK" not in os.environ:
        return False
    missing = {"WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} - os.environ.keys()
    if missing:
        raise ConfigError(
            f"RANK is set, but {min(missing)} is not",
            where="environment",
            fix="start several processes with torchrun or srun, or unset RANK",
        )
    return True


def first_host(nodes: str) -> str:
    """Return the first host of SLURM's list, such as ``gpu003`` of ``gpu[003-006,9],x1``."""
    one_each = re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", nodes)
    return one_each.split(",")[0]


def _started_by_srun() -> bool:
    # a batch script itself has the variables of its job, but not those of a step with tasks
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def _from_slurm() -> dict[str, str]:
    host = first_host(os.environ["SLURM_STEP_NODELIST"])
    # jobs that share a machine must not share a port
    port = _PORTS[int(os.environ["SLURM_JOB_ID"]) % len(_PORTS)]
    return {
        "RANK": os.environ["SLURM_PROCID"],
        "WORLD_SIZE": os.environ["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": os.environ["SLURM_LOCALID"],
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", host),
        "MASTER_PORT": os.environ.get("MASTER_PORT", str(port)),
    }
