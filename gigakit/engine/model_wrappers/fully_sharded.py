"""Fully sharded data parallelism: every process holds a part of each tensor."""

from __future__ import annotations

from typing import Any, Literal

import torch
from mmengine.device import get_device
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)

from gigakit.core.errors import ConfigError
from gigakit.engine import processes
from gigakit.engine.activation_checkpointing import blocks_of, checkpoint_activations
from gigakit.registry import MODEL_WRAPPERS
from gigakit.ssl.health import ReportsHealth
from gigakit.ssl.patch_features import ShowsPatchFeatures

Precision = Literal["fp32", "bf16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@MODEL_WRAPPERS.register_module()
class FullyShardedModel(nn.Module):
    """Shard parameters, gradients and optimiser state over all processes (FSDP2).

    Each block is gathered when it is needed and freed after, so a process holds 1/n of the state
    and one whole block. Within an accumulation window gradients stay on their process; the backward
    pass of the last batch reduces them. Checkpoints are folders of shards, which any number of
    processes can resume.

    Args:
        module: the objective; handed in by the runner. Its blocks are the entries of its
            ``nn.ModuleList``s.
        param_dtype: what parameters are gathered and used as; the sharded originals and the
            optimiser stay float32. ``bf16`` needs ``optim_wrapper.precision="bf16"``.
        reduce_dtype: what gradients are reduced in.
        reshard_after_forward: free a block after its forward pass and gather it again for the
            backward pass; ``False`` trades memory for one exchange less.
        activation_checkpointing: compute the blocks' activations again in the backward pass.

    Raises:
        ConfigError: an unknown precision, a model without blocks, or a process that is alone.

    Source: Zhao et al. 2023, "PyTorch FSDP"; the per-parameter form of torch 2.
    Differs: inputs are not cast to ``param_dtype``, since positions of a slide's tiles do not
        survive bfloat16; autocast casts where it is safe.
    """

    def __init__(
        self,
        module: BaseModel,
        *,
        param_dtype: Precision = "fp32",
        reduce_dtype: Precision = "fp32",
        reshard_after_forward: bool = True,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("param_dtype", param_dtype), ("reduce_dtype", reduce_dtype)):
            if value not in _DTYPES:
                raise ConfigError(
                    f"got '{value}'", where=f"model_wrapper_cfg.{name}", fix="give fp32 or bf16"
                )
        if not processes.is_distributed():
            raise ConfigError(
                "one process has nobody to share the model with",
                where="model_wrapper_cfg",
                fix="start with torchrun, or leave the wrapper out",
            )
        self.param_dtype = param_dtype
        self.module = self._shard(
            module, reduce_dtype, reshard_after_forward, activation_checkpointing
        )

    def _shard(
        self, module: BaseModel, reduce_dtype: Precision, reshard: bool, recompute: bool
    ) -> Any:
        device = get_device()
        options: dict[str, Any] = {
            "mesh": init_device_mesh(device, (processes.world_size(),)),
            "mp_policy": MixedPrecisionPolicy(
                param_dtype=_DTYPES[self.param_dtype],
                reduce_dtype=_DTYPES[reduce_dtype],
                cast_forward_inputs=False,
            ),
        }
        blocks = blocks_of(module)
        if recompute:
            checkpoint_activations(module)
        for block in blocks:
            fully_shard(block, reshard_after_forward=reshard, **options)
        sharded = fully_shard(module.to(device), **options)
        # called beside the forward pass, they need whole parameters too
        if isinstance(module, ReportsHealth):
            register_fsdp_forward_method(module, "health")
        if isinstance(module, ShowsPatchFeatures):
            register_fsdp_forward_method(module, "patch_features")
        return sharded

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the objective."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Make the objective's step on one batch; gradients are reduced at the window's end."""
        if self.param_dtype == "bf16" and optim_wrapper.precision != "bf16":
            raise ConfigError(
                "got 'bf16', but the forward pass runs in fp32",
                where="model_wrapper_cfg.param_dtype",
                fix='add optim_wrapper.precision="bf16"',
            )
        sharded: FSDPModule = self.module
        sharded.set_requires_gradient_sync(optim_wrapper.should_sync())
        losses: dict[str, Tensor] = self.module.train_step(data, optim_wrapper)
        return losses

    def val_step(self, data: Any) -> Any:
        """Predict one batch, in the precision that the parameters are gathered in."""
        bf16 = self.param_dtype == "bf16"
        with torch.autocast(get_device(), dtype=torch.bfloat16, enabled=bf16):
            return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Predict one batch, as :meth:`val_step`."""
        return self.val_step(data)
