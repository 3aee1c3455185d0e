"""What a recipe's training will cost, measured on a few real steps; nothing is kept."""

from __future__ import annotations

import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook

from gigakit.config import LoadedConfig, import_custom
from gigakit.core.errors import ConfigError
from gigakit.engine import compat
from gigakit.engine.dry_run_data import prepare_probe
from gigakit.engine.flops import flop_counter
from gigakit.engine.resources import peak_cuda_memory_mb, peak_memory_mb
from gigakit.engine.run_data import OWN_KEYS, fill_in
from gigakit.engine.screen import borrowed_logger
from gigakit.engine.train import build_runner

# a step that takes longer is timed once, not thrice
_LONGEST_SECONDS = 60.0
# what shows and keeps a run, and what counts FLOPs itself
_WITHOUT = ("scalars", "progress", "checkpoint", "signals", "throughput")


@dataclass(frozen=True)
class StepCost:
    """What a run is and what one of its steps costs, in one process.

    Args:
        parameters: trained parameters.
        all_parameters: these and those that are not trained, such as a teacher's.
        steps: optimiser steps of the whole run.
        flops_per_step: matmul FLOPs of the first step, forward and backward; see
            :func:`gigakit.engine.flops.flop_counter`.
        seconds_per_step: median wall time of the timed steps, the wait for data included.
        timed_steps: how many were timed.
        samples_per_step: samples of a step, or what limits them.
        start_seconds: from the call to the first step, without the preparation of data.
        peak_memory_mb: largest resident set of the process in MiB, imports included.
        peak_cuda_memory_mb: most CUDA memory allocated in MiB, where CUDA was used.
        device: where the steps ran, such as ``cpu``.
        notes: what the figures rest on.
    """

    parameters: int
    all_parameters: int
    steps: int
    flops_per_step: int
    seconds_per_step: float
    timed_steps: int
    samples_per_step: int | str
    start_seconds: float
    peak_memory_mb: float
    peak_cuda_memory_mb: float | None
    device: str
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Estimated wall time of the run's start and steps, without validation, in seconds."""
        return self.start_seconds + self.steps * self.seconds_per_step


def measure_step_cost(
    loaded: LoadedConfig,
    *,
    probe_steps: int = 3,
    scratch: Path | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> StepCost:
    """Make a few real steps of a recipe and tell what they cost; nothing is kept.

    The first step counts FLOPs and warms up, the next ones are timed. Where slides are not
    prepared, a few of them stand for the cohort, see
    :func:`~gigakit.engine.dry_run_data.prepare_probe`. Validation, pictures and checkpoints are
    left out. Peak memory is that of this process, so a process should measure one recipe.

    Args:
        loaded: the recipe, checked, its ``sample`` section applied.
        probe_steps: steps to time; fewer where a step takes long.
        scratch: folder of what is prepared, to share it among calls; by default a temporary one.
        announce: receives a line now and then.

    Raises:
        ConfigError: the recipe has no model, or makes no step.
        GigakitError: what the preparation or the steps found wrong.
    """
    if "model" not in loaded.values:
        raise ConfigError(
            "has no model to train", where=loaded.path, fix="see: gigakit list recipe"
        )
    import_custom(loaded.values.get("custom_imports"), loaded.path)
    with tempfile.TemporaryDirectory(prefix="gigakit-dry-run-") as folder:
        values = copy.deepcopy(loaded.values)
        prepared = prepare_probe(values, scratch or Path(folder) / "stores", announce)
        fill_in(values, prepared)
        hook = _ProbeHook(probe_steps)
        begin = time.perf_counter()
        with compat.scoped_run(), borrowed_logger("gigakit"):
            runner = build_runner(_without_extras(values), Path(folder) / "run")
            try:
                runner.register_hook(hook)
                runner.train()
            finally:
                runner.close()
        if not hook.marks:
            raise ConfigError("makes no step", where=loaded.path)
        return StepCost(
            parameters=sum(p.numel() for p in runner.model.parameters() if p.requires_grad),
            all_parameters=sum(p.numel() for p in runner.model.parameters()),
            steps=runner.train_loop.max_iters,
            flops_per_step=hook.flops,
            seconds_per_step=hook.seconds_per_step,
            timed_steps=max(1, len(hook.marks) - 1),
            samples_per_step=runner.train_loop.draws_per_step,
            start_seconds=hook.begin - begin,
            peak_memory_mb=peak_memory_mb(),
            peak_cuda_memory_mb=peak_cuda_memory_mb(),
            device=str(get_device()),
            notes=prepared.notes,
        )


def _without_extras(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a run does beside its steps."""
    kept = {key: value for key, value in values.items() if key not in OWN_KEYS}
    kept["default_hooks"] = {**kept.get("default_hooks", {}), **dict.fromkeys(_WITHOUT)}
    return kept


class _ProbeHook(Hook):
    """Count the FLOPs of the first step, time the next ones, and end the run.

    Args:
        probe_steps: steps to time.

    Attributes:
        begin: when the first step began.
        marks: when each step ended.
        flops: of the first step.
    """

    # after all others, so that what they cost counts
    priority = "LOWEST"

    def __init__(self, probe_steps: int) -> None:
        self.probe_steps = probe_steps
        self.begin = 0.0
        self.marks: list[float] = []
        self.flops = 0

    @property
    def seconds_per_step(self) -> float:
        """Median of the timed steps; of the first, where no other was made."""
        ends = [self.begin, *self.marks] if len(self.marks) == 1 else self.marks
        return statistics.median(b - a for a, b in itertools.pairwise(ends))

    def before_train(self, runner: Any) -> None:
        """Leave out validation."""
        runner.train_loop.val_at_end, runner.train_loop.val_interval_steps = False, None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:  # noqa: ARG002  # mmengine's
        """Look at the first step."""
        if self.begin:
            return
        self.begin = time.perf_counter()
        self._train_step = runner.model.train_step
        runner.model.train_step = self._counted_step

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,  # noqa: ARG002  # mmengine's
        data_batch: Any = None,  # noqa: ARG002  # mmengine's
        outputs: Any = None,  # noqa: ARG002  # mmengine's
    ) -> None:
        """Note when the step ended, and stop after the last one."""
        if not self.marks:
            del runner.model.train_step
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter())
        spent = self.marks[-1] - self.begin
        if len(self.marks) > self.probe_steps or spent > _LONGEST_SECONDS:
            runner.train_loop.stop_training = True

    def _counted_step(self, data: Any, optim_wrapper: Any) -> Any:
        with flop_counter() as counter:
            outputs = self._train_step(data, optim_wrapper=optim_wrapper)
        self.flops += counter.get_total_flops()
        return outputs
