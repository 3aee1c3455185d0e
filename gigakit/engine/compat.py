"""Workarounds for mmengine 0.10.7, each with its reason and what upstream would end it.

Nothing else in gigakit reaches into mmengine's private parts.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from torch.distributed.device_mesh import DeviceMesh
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

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
    progress, to stdout; and it drops a warning whose format it has seen, whatever the numbers. Ends
    with: nothing planned upstream.
    """
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.handlers.remove(handler)
    for handler in logger.handlers:
        handler.filters.clear()
    logger.handlers.append(screen)


@contextlib.contextmanager
def quiet_distributed_checkpoint() -> Iterator[None]:
    """Save and load shards in one process without torch's remark that it is one process.

    Reason: ``torch.distributed.checkpoint`` warns each time where no process group is started.
    Ends with: an argument of torch's that says so (``no_dist`` warns too).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def ignore_gradient_strides() -> None:
    """Do not tell users of a learned token's stride, for the rest of the process.

    Reason: torch's DDP warns of the gradient of a ``(1, 1, D)`` parameter in a batch of one, whose
    stride over a dimension of size 1 means nothing. Ends with: a comparison of strides in torch's
    reducer that leaves such dimensions out (no issue is open for it).
    """
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")


def release_meshes() -> None:
    """Let go of the process groups that device meshes hold.

    Reason: torch's caches of how sharded tensors are computed keep their mesh for the rest of the
    process, and with it the groups and their threads, ``destroy_process_group`` or not. Ends with:
    meshes that hold their groups by name alone (no issue is open for it).
    """
    for mesh in gc.get_objects():
        # torch's lazy objects act as isinstance asks them
        if type(mesh) is DeviceMesh:
            getattr(mesh, "_pg_registry", {}).clear()


def devices_with_fused_optimizers() -> set[str]:
    """Return the kinds of device for which torch has fused optimisers.

    Reason: torch accepts ``fused=True`` for any device and fails at the first step. Ends with: a
    public way to ask (no issue is open for it).
    """
    return set(_get_fused_kernels_supported_devices())


def is_watched() -> bool:
    """Tell whether something looks at every operation, such as a counter of FLOPs.

    Reason: ``torch.compile`` skips a function that is first called under such a look, and never
    compiles it later. Ends with: torch compiling it at the next call.
    """
    return is_in_torch_dispatch_mode()
