"""Compile the transformer blocks of a run."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from gigakit.engine.compiled_blocks import compile_blocks
from gigakit.registry import HOOKS


@HOOKS.register_module()
class CompileBlocksHook(Hook):
    """Compile each block with ``torch.compile`` before the first step, teacher and student alike.

    It needs a compiler (a C++ one on CPUs) and about a minute at the first step; it pays where a
    block's small operations cost much beside its matrix products, as on GPUs in bfloat16. Batches
    should have one shape: ``collate_views`` has ``constant=True`` for what the heads see, and drop
    path by subset keeps as many samples in every step. Results differ by rounding.

    Works with one process, ``DataParallelModel`` and ``FullyShardedModel``, with and without
    activation checkpointing.

    Args:
        backend: of ``torch.compile``.
    """

    def __init__(self, *, backend: str = "inductor") -> None:
        self.backend = backend

    def before_train(self, runner: Any) -> None:
        """Compile; nothing is computed before the first batch."""
        count = compile_blocks(runner.objective, backend=self.backend)
        runner.logger.info("%d blocks are compiled at their first batch", count)
