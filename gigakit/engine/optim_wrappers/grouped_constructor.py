"""Few parameter groups: by weight decay, layer and learning rate."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import Optimizer

from gigakit.core.errors import ConfigError
from gigakit.engine import compat
from gigakit.engine.optim_wrappers.parameter_rules import RULES, Treatment, treatments
from gigakit.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

LOGGER = logging.getLogger(__name__)

_KEYS = (
    "rule",
    "no_decay",
    "layer_decay",
    "layer_decay_in",
    "patch_embed_lr",
    "patch_embed_at_full_rate",
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Build an optimiser with one group for all parameters that are treated alike.

    ``paramwise_cfg`` says how:

    - ``rule``: which parameters decay. ``mae`` (default): those of more than one dimension, except
      learned tokens and positions. ``dinov2``: all but biases, norms and ``gamma``, tokens and
      positions included. ``gigapath``: those of more than one dimension, as its fine-tuning does.
    - ``no_decay``: names, or how they begin, that do not decay either.
    - ``layer_decay``: factor of the learning rate from a layer to the one before it; 1 by default.
      DINOv2's short recipe takes 0.9, GigaPath's fine-tuning 0.95.
    - ``layer_decay_in``: the networks it applies to, such as ``["encoder"]``; default all.
    - ``patch_embed_lr``: a further factor for patch embeddings; DINOv2 takes 0.2.
    - ``patch_embed_at_full_rate``: ``layer_decay`` passes them over, as GigaPath's released
      fine-tuning does by mistake.

    Groups carry ``lr_mult``, ``wd_mult`` and ``is_last_layer``, which schedules follow, and the
    names of their parameters. The fused form of the optimiser is taken where the device has it,
    unless the recipe says otherwise.

    Args:
        optim_wrapper_cfg: the recipe's ``optim_wrapper``; handed in by mmengine.
        paramwise_cfg: see above.

    Raises:
        ConfigError: paramwise_cfg has another key or an unusable value, or no parameter is trained.

    Source: MAE (He et al. 2022), ``param_groups_weight_decay`` of timm; DINOv2,
        ``get_params_groups_with_decay`` and ``fuse_params_groups``.
    Differs: mmengine's constructor makes one group per tensor, which slows fused optimisers.
    """

    def __init__(
        self,
        optim_wrapper_cfg: dict[str, Any],
        paramwise_cfg: dict[str, Any] | None = None,
    ) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop("optimizer"))
        self.paramwise = dict(paramwise_cfg or {})
        for key, value in self.paramwise.items():
            allowed = _allowed(key, value)
            if allowed:
                raise ConfigError(
                    f"got {value!r}", where=f"optim_wrapper.paramwise_cfg.{key}", fix=allowed
                )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for the trained parameters of a model."""
        optimizer = self._build_optimizer(self._groups(getattr(model, "module", model)))
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(
            {**self.optim_wrapper_cfg, "optimizer": optimizer}
        )
        return wrapper

    def _groups(self, model: nn.Module) -> list[dict[str, Any]]:
        parameters = dict(model.named_parameters())
        groups: dict[Treatment, list[tuple[str, nn.Parameter]]] = {}
        for name, treatment in treatments(model, **self.paramwise).items():
            groups.setdefault(treatment, []).append((name, parameters[name]))
        if not groups:
            raise ConfigError("no parameter is trained", where="model")
        # the optimiser's state is kept by this order: what decays first, the highest rate first
        order = sorted(groups, key=lambda t: (-t.wd_mult, t.is_last_layer, -t.lr_mult))
        return [self._group(treatment, groups[treatment]) for treatment in order]

    def _group(
        self, treatment: Treatment, members: list[tuple[str, nn.Parameter]]
    ) -> dict[str, Any]:
        group = {
            "params": members,
            "name": treatment.name,
            "lr_mult": treatment.lr_mult,
            "wd_mult": treatment.wd_mult,
            "is_last_layer": treatment.is_last_layer,
        }
        for key, factor in (("lr", treatment.lr_mult), ("weight_decay", treatment.wd_mult)):
            if factor != 1.0:
                group[key] = self._base(key) * factor
        return group

    def _base(self, key: str) -> float:
        """Return a setting of the optimiser, as the recipe or the optimiser itself has it."""
        if key in self.optimizer_cfg:
            return float(self.optimizer_cfg[key])
        signature = inspect.signature(OPTIMIZERS.get(self.optimizer_cfg["type"])).parameters
        return float(signature[key].default) if key in signature else 0.0

    def _build_optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        config = {**self.optimizer_cfg, "params": groups}
        accepted = inspect.signature(OPTIMIZERS.get(config["type"])).parameters
        if "fused" in accepted and not {"fused", "foreach"} & config.keys():
            devices = {
                parameter.device.type for group in groups for _, parameter in group["params"]
            }
            missing = devices - compat.devices_with_fused_optimizers()
            config["fused"] = not missing
            if missing:
                LOGGER.info(
                    "%s is not fused: torch has no such kernel for %s", config["type"], min(missing)
                )
        optimizer: Optimizer = OPTIMIZERS.build(config)
        return optimizer


def _allowed(key: str, value: Any) -> str | None:
    """Return what a key of ``paramwise_cfg`` takes, if it does not take this."""
    if key not in _KEYS:
        return f"the keys are {', '.join(_KEYS)}"
    if key == "rule":
        return None if value in RULES else f"choose from {', '.join(RULES)}"
    if key in ("no_decay", "layer_decay_in"):
        names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        return None if names else "give a list of names"
    if key == "patch_embed_at_full_rate":
        return None if isinstance(value, bool) else "give True or False"
    number = isinstance(value, int | float) and 0.0 < value <= 1.0
    return None if number else "give a number above 0, at most 1"
