"""What components without access to the runner may ask the message hub."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import RuntimeInfoHook

from gigakit.engine.compat import limit_histories
from gigakit.registry import HOOKS


@HOOKS.register_module()
class RunInfoHook(RuntimeInfoHook):
    """Put step, loss, learning rate and metrics into the message hub, in bounded space.

    Differs: mmengine's hook also stores the config's text, formatted anew, in every checkpoint.
    """

    def before_run(self, runner: Any) -> None:
        """Note the run's seed and name."""
        runner.message_hub.update_info_dict(
            {"seed": runner.seed, "experiment_name": runner.experiment_name}
        )
        self.last_loop_stage = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note step, epoch and learning rates; the loop calls no hook between two epochs."""
        super().before_train_iter(runner, batch_idx, data_batch)
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_val(self, runner: Any) -> None:
        """Note the steps done, also where a resumed run begins with a validation."""
        super().before_val(runner)
        runner.message_hub.update_info_dict({"iter": runner.iter, "epoch": runner.epoch})

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Note what the step returned."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        limit_histories(runner.message_hub)
