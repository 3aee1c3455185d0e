"""What is said about a step that was skipped, and when it is one too many."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gigakit.core.errors import NonFiniteGradientError
from gigakit.engine import processes

LOGGER = logging.getLogger(__name__)

_NAMES_SHOWN = 8


def report_skipped_step(
    runner: Any, batches: Sequence[Any], outputs: Sequence[Mapping[str, Tensor]]
) -> None:
    """Warn of the step that the guard has just skipped; all ranks call it.

    Args:
        runner: whose optimiser wrapper skipped the step.
        batches: this rank's batches of the step.
        outputs: the losses of each.

    Raises:
        NonFiniteGradientError: too many steps in a row were skipped.
    """
    guard = runner.optim_wrapper
    draws = runner.train_loop.plan.batches(runner.iter, processes.rank())
    values = [{name: float(loss.detach()) for name, loss in terms.items()} for terms in outputs]
    found = [
        f"rank {processes.rank()}, {_name(batch, drawn)}: {_losses(losses)}"
        for batch, drawn, losses in zip(batches, draws, values, strict=True)
    ]
    bad = [not all(map(math.isfinite, losses.values())) for losses in values]
    told = [
        entry for rank in processes.collect(list(zip(bad, found, strict=True))) for entry in rank
    ]
    # where a loss is to blame, the batches of finite ones are of no interest
    blamed = [line for is_bad, line in told if is_bad] or [line for _, line in told]
    text = "; ".join(blamed[:_NAMES_SHOWN]) + ("; ..." if len(blamed) > _NAMES_SHOWN else "")
    text = f"{text}; gradient norm {guard.last_skip.norm:.4g}{guard.last_skip.first_bad}"
    LOGGER.warning("step %d is skipped, %d so far: %s", runner.iter + 1, guard.skipped_steps, text)
    if guard.consecutive_skips >= guard.max_consecutive_skips:
        raise NonFiniteGradientError(
            f"{guard.consecutive_skips} steps in a row had a non-finite loss or gradient, "
            f"the last one {runner.iter + 1}: {text}",
            where=runner.work_dir,
            fix=_way_out(runner),
        )


def _name(batch: Any, draws: Sequence[int]) -> str:
    numbers = ", ".join(map(str, draws[:_NAMES_SHOWN])) + (", ..." * (len(draws) > _NAMES_SHOWN))
    names = batch.get("slide_id") if isinstance(batch, Mapping) else None
    if not names:
        return f"draws {numbers}"
    shown = ", ".join(dict.fromkeys(names[:_NAMES_SHOWN]))
    return f"slides {shown} (draws {numbers})"


def _losses(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in losses.items())


def _way_out(runner: Any) -> str:
    pointer = runner.work_path / "last_checkpoint"
    advice = "lower the learning rate, clip the gradient or look at that data"
    if not pointer.is_file():
        return advice
    return f"{pointer.read_text(encoding='utf-8').strip()} is sound: {advice}, then --resume"
