"""The weights of the best validation."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, Literal

from mmengine.hooks import Hook
from torch import Tensor
from torch.distributed.tensor import DTensor

from gigakit.core.errors import ConfigError
from gigakit.nn.weights import write_safetensors
from gigakit.registry import HOOKS

LOGGER = logging.getLogger(__name__)
FILE = "best.safetensors"


@HOOKS.register_module()
class BestWeightsHook(Hook):
    """Keep the weights of the validation with the best metric: ``best.safetensors``.

    Validation data alone chooses; predictions of the run are made with these weights. The best
    value is part of the checkpoint, so a resumed run goes on comparing with it.

    Args:
        metric: such as ``slides/macro_auroc``.
        better: which way is better.

    Raises:
        ConfigError: no validation takes place, or it has no such metric.
    """

    def __init__(self, *, metric: str, better: Literal["greater", "less"]) -> None:
        if better not in ("greater", "less"):
            raise ConfigError(
                f"got '{better}'", where="BestWeightsHook.better", fix="give greater or less"
            )
        self.metric, self.better = metric, better
        self._best = math.nan

    def before_train(self, runner: Any) -> None:
        """Refuse a run without validation; a run from the beginning has no best weights yet."""
        if runner.val_loop is None:
            raise ConfigError(
                "needs validations",
                where="BestWeightsHook",
                fix="give slides of a split 'val', or set default_hooks.best=null",
            )
        if runner.iter == 0 and runner.rank == 0:
            best_weights(runner.work_path).unlink(missing_ok=True)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Compare, and write the weights if they are better."""
        found = metrics or {}
        if self.metric not in found:
            raise ConfigError(
                f"there is no metric '{self.metric}'",
                where="BestWeightsHook.metric",
                fix=f"known are {', '.join(found)}",
            )
        value = float(found[self.metric])
        gain = value - self._best if self.better == "greater" else self._best - value
        if math.isnan(value) or gain <= 0:
            return
        self._best = value
        weights = {name: _whole(tensor) for name, tensor in runner.objective.state_dict().items()}
        if runner.rank == 0:
            told = {"metric": self.metric, "value": f"{value:.9g}", "step": str(runner.iter)}
            write_safetensors(weights, best_weights(runner.work_path), metadata=told)
        LOGGER.info("best weights so far: %s %.4g after step %d", self.metric, value, runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the best value."""
        checkpoint["best"] = self._best

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take it back, where the run had this hook."""
        self._best = checkpoint.get("best", math.nan)


def best_weights(run: Path) -> Path:
    """Return where a run keeps its best weights."""
    return run / FILE


def _whole(tensor: Tensor) -> Tensor:
    """Return a tensor whose parts several processes may hold."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole
