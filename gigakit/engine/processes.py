"""The processes of one run: how they find each other, agree on a decision, and part."""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

from gigakit.core.errors import OtherProcessError
from gigakit.core.launcher import environment_rank, is_one_of_many
from gigakit.engine import compat

Result = TypeVar("Result")

# preparing a cohort on rank 0 may take days
_PATIENCE = datetime.timedelta(days=30)


def is_distributed() -> bool:
    """Tell whether this process has joined others."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return the number of this process among those of the run."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return the number of processes of the run."""
    return dist.get_world_size() if is_distributed() else 1


def is_first() -> bool:
    """Tell whether files and screen are this process's business; also before it joined others."""
    return rank() == 0 if is_distributed() else environment_rank() == 0


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the processes that ``torchrun`` or SLURM's ``srun`` started, and leave at the end.

    CPU tensors are exchanged through gloo, CUDA tensors through nccl. Nothing happens for a process
    that was started alone, or that has joined already. When it ends, so do the threads that
    exchanged tensors: one that meets the interpreter's end as it drops its last tensor would abort
    the process (``terminate called without an active exception``).

    Raises:
        ConfigError: the environment names a process of a group, but not the whole of it.
    """
    if is_distributed() or not is_one_of_many():
        yield
        return
    # torchrun sets the one; mmengine warns about the other unless it is set
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    backend = "gloo"
    if torch.cuda.is_available():
        # a scheduler may show each process its own device only
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    try:
        yield
    except BaseException as error:
        _release_frames(error)
        raise
    finally:
        # a wrapped model shares the group, and its run refers to itself
        gc.collect()
        compat.release_meshes()
        dist.destroy_process_group()


def _release_frames(error: BaseException | None) -> None:
    """Drop what the functions held that an error ended: the wrapped model among it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def most(values: Sequence[int]) -> list[int]:
    """Return, for each entry, the largest that any process gave: the one way ranks decide together.

    All ranks must call it at the same place.
    """
    if world_size() == 1:
        return [int(value) for value in values]
    votes = torch.tensor(values, dtype=torch.int64)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    decided: list[int] = votes.tolist()
    return decided


def mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over the ranks, on every rank."""
    if world_size() == 1:
        return values
    # the process that writes it reads it on the CPU at once
    total = values.cpu()
    dist.all_reduce(total)
    return total / world_size()


def on_first(work: Callable[[], Result]) -> Result:
    """Let rank 0 work while the others wait, as long as it takes, and return its result on all.

    Raises:
        OtherProcessError: on the other ranks, where rank 0 failed and says why.
    """
    if world_size() == 1:
        return work()
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    outcome: list[tuple[str, Result | None]] = [("failed", None)]
    try:
        if rank() == 0:
            outcome = [("done", work())]
    finally:
        # a failure is sent too, so that nobody waits for ever
        dist.broadcast_object_list(outcome, src=0, group=group)
        dist.destroy_process_group(group)
        # the frame of a failure would keep it, and its threads
        del group
    word, result = outcome[0]
    if word == "failed":
        raise OtherProcessError("rank 0 failed, see its message")
    return result  # type: ignore[return-value]  # the result of work, sent as it is


def collect(value: Result) -> list[Result]:
    """Return the values of all ranks, in their order, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Result | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]  # every entry was filled
