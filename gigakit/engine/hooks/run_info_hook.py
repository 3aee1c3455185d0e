"""What components without access to the runner may ask the message hub."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import RuntimeInfoHook

from gigakit.engine.compat import limit_histories
from gigakit.registry import HOOKS


@HOOKS.register_module()
class RunInfoHook(RuntimeInfoHook):
    """Put step, loss, learning rate and metrics into the message hub, in bounded space.

    ``train/lr`` is the highest of all parameter groups: the one that the recipe names, where groups
    have scaled rates.

    Differs: mmengine's hook takes the first group's rate, notes a base rate too, and stores the
        config's text, formatted anew, in every checkpoint.
    """

    _decay_is_scheduled = False

    def before_run(self, runner: Any) -> None:
        """Note the run's seed and name."""
        runner.message_hub.update_info_dict(
            {"seed": runner.seed, "experiment_name": runner.experiment_name}
        )
        self.last_loop_stage = None

    def before_train(self, runner: Any) -> None:
        """Find out whether weight decay is worth a curve."""
        super().before_train(runner)
        schedules = runner.param_schedulers or ()
        self._decay_is_scheduled = any(s.param_name == "weight_decay" for s in schedules)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note step, epoch, the highest learning rate and a scheduled weight decay."""
        runner.message_hub.update_info_dict({"iter": runner.iter, "epoch": runner.epoch})
        groups = runner.optim_wrapper.param_groups
        runner.message_hub.update_scalar("train/lr", max(group["lr"] for group in groups))
        if self._decay_is_scheduled:
            decay = max(group["weight_decay"] for group in groups)
            runner.message_hub.update_scalar("train/weight_decay", decay)

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
