"""Host memory that freed tensors leave to the next step."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook

from gigakit.core.heap import keep_freed_blocks, return_kept_blocks
from gigakit.registry import HOOKS

LOGGER = logging.getLogger(__name__)


@HOOKS.register_module()
class KeepMemoryHook(Hook):
    """Let freed tensors serve the next step, instead of going back to the system, on CPUs.

    For runs whose batches have one shape, or few: pages that the system hands out anew are cleared
    first, page by page, which is 4 to 13 % of a step of tile pretraining; see
    ``tools/bench/tile_pretraining.py``. Not for slides of very unequal lengths, whose tensors leave
    gaps. Without it a run gives tensors of 8 MiB and more back at once. Nothing is changed on CUDA,
    nor without glibc or where ``MALLOC_*`` in the environment says how memory is kept.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._kept = False

    def before_run(self, runner: Any) -> None:
        """Keep from now on."""
        if next(runner.model.parameters()).device.type != "cpu":
            return
        self._kept = keep_freed_blocks()
        if not self._kept:
            LOGGER.info("freed memory is handed out as the C library or the environment has it")

    def after_run(self, runner: Any) -> None:
        """Give back what was kept."""
        if self._kept:
            return_kept_blocks()
            self._kept = False

    def close(self) -> None:
        """Give back, whatever ended the run."""
        self.after_run(None)
