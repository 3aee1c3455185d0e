"""Data parallelism: every process holds the whole model, gradients are averaged."""

from __future__ import annotations

from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel
from torch import nn

from gigakit.engine import compat
from gigakit.engine.activation_checkpointing import checkpoint_activations
from gigakit.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class DataParallelModel(MMDistributedDataParallel):
    """Average the gradients of all processes once an optimiser step (DDP).

    What several processes use without ``model_wrapper_cfg``. Gradients are exchanged during the
    backward pass of the last batch of an accumulation window, and not before.

    Args:
        module: the objective; handed in by the runner.
        activation_checkpointing: compute the blocks' activations again in the backward pass.
        find_unused_parameters: set it where a step leaves some parameters without gradient; an
            objective whose ``leaves_parameters_unused`` is true needs no telling.
        bucket_mb: gradients exchanged at once, in MiB.

    Source: Li et al. 2020, "PyTorch Distributed".
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        activation_checkpointing: bool = False,
        find_unused_parameters: bool = False,
        bucket_mb: float = 25.0,
    ) -> None:
        compat.ignore_gradient_strides()
        module = module.to(get_device())
        if activation_checkpointing:
            checkpoint_activations(module)
        super().__init__(
            module,
            # torch takes the device of the module's own parameters
            device_ids=None,
            # buffers are computed alike on all ranks
            forward_sync_buffers=False,
            find_unused_parameters=find_unused_parameters
            or bool(getattr(module, "leaves_parameters_unused", False)),
            bucket_cap_mb=bucket_mb,
        )
        self._settle_buckets()

    def _settle_buckets(self) -> None:
        """Fix which gradients are exchanged together before the first step.

        torch decides it anew after the first backward pass of a process, and sums of three or more
        ranks depend on it: a resumed run would differ in the last bit.
        """
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.module.forward = lambda: sum((p * 0.0).sum() for p in trained)
        try:
            self().backward()
        finally:
            del self.module.forward
        self.zero_grad()
