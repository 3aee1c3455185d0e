"""What schedules of the optimiser share: their place is the step, their shape the config's."""

from __future__ import annotations

from typing import Any

from mmengine.optim import _ParamScheduler


class PlannedSchedule(_ParamScheduler):
    """A schedule whose values follow from the step and the config alone.

    A checkpoint holds where it is and not its shape, so a run can be prolonged: from the first step
    after the resume on it follows the new plan.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule is."""
        state = super().state_dict()
        return {key: state[key] for key in ("last_step", "_global_step", "_last_value")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there, with this plan's value of the step."""
        super().load_state_dict(state_dict)
        for group, value in zip(self.optimizer.param_groups, self._get_value(), strict=True):
            group[self.param_name] = value

    def _get_value(self) -> list[float]:
        """Return the value of each group at the present step."""
        raise NotImplementedError
