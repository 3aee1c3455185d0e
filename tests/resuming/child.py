"""One training run, in the process that a test or a tool kills.

What it can suffer, as ``Order.fault``: ``calls`` (killed at a Python call), ``torn`` (killed inside
a checkpoint), ``rename`` and ``remove`` (killed before one), ``full`` (no file may grow beyond some
bytes).
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from resuming import probe

from gigakit.core.errors import GigakitError
from gigakit.engine.train import train

if TYPE_CHECKING:
    from resuming.processes import Order


def main(order: Order, environment: dict[str, str]) -> None:
    """Make the run, and exit as the command line would."""
    os.environ.update(environment)
    stderr = os.open(order.notes / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stderr, sys.stderr.fileno())
    torch.set_num_threads(1)
    # of the loader's workers, as in a process started from the command line
    multiprocessing.set_start_method("fork", force=True)
    values: dict[str, Any] = copy.deepcopy(order.values)
    hook = {
        "type": "ProbeHook",
        "folder": str(order.notes),
        "counts_calls": order.counts_calls,
    }
    kind, arguments = order.fault or (None, {})
    if kind == "calls":
        hook["kill_after_calls"] = arguments["number"]
    elif kind == "full":
        # Python ignores the signal; a write beyond the limit is an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (arguments["bytes"], arguments["bytes"]))
    elif kind == "torn":
        probe.tear_checkpoint(**arguments)
    elif kind is not None:
        probe.die_at(kind, **arguments)
    values["custom_hooks"] = [*values.get("custom_hooks", []), hook]
    probe.log_reads(values["train_dataloader"]["dataset"]["type"], order.notes / "reads")
    _wait_for_a_new_second(order)
    try:
        train(values, work_dir=order.work_dir, resume=order.resume)
    except GigakitError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def _wait_for_a_new_second(order: Order) -> None:
    # TensorBoard orders the files of a run by the second in their names; imports take longer
    stamps = [int(path.name.split(".")[3]) for path in order.work_dir.glob("events.out.*")]
    while stamps and int(time.time()) <= max(stamps):
        time.sleep(0.02)
