"""Workarounds for mmengine 0.10.7, each with its reason and what upstream would end it.

Nothing else in gigakit reaches into mmengine's private parts.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

HISTORY_LENGTH = 1000


def limit_histories(hub: MessageHub) -> None:
    """Keep the newest 1000 values of each logged scalar.

    Reason: ``HistoryBuffer.update`` copies its whole history, and the default limit is a million
    values: milliseconds a step late in a long run, and as many bytes in each checkpoint.
    Ends with: a ring buffer upstream (no issue is open for it).
    """
    for buffer in hub.log_scalars.values():
        buffer.max_length = HISTORY_LENGTH


def message_hub_state(hub: MessageHub) -> dict[str, Any]:
    """Return a message hub's state as plain tensors, numbers and strings.

    Reason: upstream pickles ``HistoryBuffer`` objects, which ``torch.load(weights_only=True)``
    rightly refuses. Ends with: mmengine issue 1655.
    """
    state = hub.state_dict()
    scalars = {
        key: {"values": torch.as_tensor(buffer.data[0]), "counts": torch.as_tensor(buffer.data[1])}
        for key, buffer in state["log_scalars"].items()
    }
    return {
        "log_scalars": scalars,
        "runtime_info": dict(state["runtime_info"]),
        "resumed_keys": dict(state["resumed_keys"]),
    }


def message_hub_from_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return what ``MessageHub.load_state_dict`` takes, from :func:`message_hub_state`."""
    scalars = {
        key: HistoryBuffer(entry["values"].numpy(), entry["counts"].numpy(), HISTORY_LENGTH)
        for key, entry in state["log_scalars"].items()
    }
    return {**state, "log_scalars": scalars}


@contextlib.contextmanager
def scoped_run() -> Iterator[None]:
    """Drop the global objects that a run leaves behind.

    Reason: mmengine keeps a logger, a message hub, a visualizer and a scope per experiment name for
    ever, so a second run in one process would write into the first one's files. Ends with: nothing
    planned upstream.
    """
    kinds = (MMLogger, MessageHub, Visualizer, DefaultScope)
    before = {kind: set(kind._instance_dict) for kind in kinds}
    try:
        yield
    finally:
        for kind in kinds:
            for name in set(kind._instance_dict) - before[kind]:
                left = kind._instance_dict.pop(name)
                for handler in left.handlers if isinstance(left, MMLogger) else ():
                    handler.close()


def quieten(logger: MMLogger, screen: logging.Handler) -> None:
    """Send a run's log to its file in full, and only what a user must see to the screen.

    Reason: mmengine prints about 170 lines of environment, config and hook tables, and each line of
    progress, to stdout. Ends with: nothing planned upstream.
    """
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.handlers.remove(handler)
    logger.handlers.append(screen)


def start_process_group(launcher: str) -> bool:
    """Join the processes that ``torchrun`` started, on gloo without CUDA and nccl with it.

    Reason: mmengine calls ``torch.cuda.set_device`` and asks for nccl on machines without CUDA.
    Ends with: a device check in ``mmengine.dist.init_dist`` (no issue is open for it).

    Returns:
        Whether a group was started, which its starter must also end.
    """
    if launcher != "pytorch" or torch.distributed.is_initialized():
        return False
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # torchrun sets the one; mmengine warns about the other unless it is set
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return True


def device_ids() -> list[int] | None:
    """Return what ``DistributedDataParallel`` takes as ``device_ids``.

    Reason: mmengine always gives the local rank, which torch refuses for modules on the CPU.
    Ends with: a device check in ``Runner.wrap_model`` (no issue is open for it).
    """
    return [int(os.environ["LOCAL_RANK"])] if torch.cuda.is_available() else None
