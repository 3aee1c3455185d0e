"""Two parameter groups: with and without weight decay."""

from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

_TOKENS = ("_token", "_tokens", "pos_embed")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Build an optimiser with a group that decays and one that does not.

    No decay: biases, norms and other tensors of at most one dimension, and learned tokens and
    positions (names that end in ``_token``, ``_tokens`` or ``pos_embed``).

    Args:
        optim_wrapper_cfg: the recipe's ``optim_wrapper``; handed in by mmengine.
        paramwise_cfg: ``dict(no_decay=[...])`` adds names (or how they begin) to it.

    Raises:
        ConfigError: paramwise_cfg has another key, or no parameter is trained.

    Source: MAE (He et al. 2022), ``param_groups_weight_decay`` of timm.
    Differs: mmengine's constructor makes one group per tensor, which slows fused optimisers.
    """

    def __init__(
        self,
        optim_wrapper_cfg: dict[str, Any],
        paramwise_cfg: dict[str, Any] | None = None,
    ) -> None:
        unknown = set(paramwise_cfg or {}) - {"no_decay"}
        if unknown:
            raise ConfigError(
                f"unknown key '{min(unknown)}'",
                where="optim_wrapper.paramwise_cfg",
                fix="no_decay is the only one",
            )
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop("optimizer"))
        self.no_decay = tuple((paramwise_cfg or {}).get("no_decay", ()))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for the trained parameters of a model."""
        decay: list[nn.Parameter] = []
        no_decay: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                exempt = self._is_exempt(name.removeprefix("module."), parameter)
                (no_decay if exempt else decay).append(parameter)
        if not decay and not no_decay:
            raise ConfigError("no parameter is trained", where="model")
        groups: list[dict[str, Any]] = [
            {"params": decay, "name": "decay"},
            {"params": no_decay, "name": "no_decay", "weight_decay": 0.0},
        ]
        optimizer = OPTIMIZERS.build(
            {**self.optimizer_cfg, "params": [group for group in groups if group["params"]]}
        )
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(
            {**self.optim_wrapper_cfg, "optimizer": optimizer}
        )
        return wrapper

    def _is_exempt(self, name: str, parameter: nn.Parameter) -> bool:
        return parameter.ndim <= 1 or name.endswith(_TOKENS) or name.startswith(self.no_decay)
