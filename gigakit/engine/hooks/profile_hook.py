"""A trace of a few steps: where their time goes."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from torch.profiler import profile, record_function, schedule

from gigakit.core.errors import ConfigError
from gigakit.registry import HOOKS

FILE = "trace.json.gz"
VIEWER = "https://ui.perfetto.dev"


@HOOKS.register_module()
class ProfileHook(Hook):
    """Record some steps of rank 0 with torch's profiler, in ``trace.json.gz`` of the run's folder.

    ``gigakit train --profile`` adds it. The regions ``data wait``, ``forward``, ``backward`` and
    ``optimiser step`` (with its guard and clipping) are named in the trace; the rest are torch's
    operators and kernels. Results do not change; recorded steps are slower, and writing the trace
    takes seconds. A run that is too short records its last steps; one of a single step, none.

    Args:
        after_steps: steps made before, one more is made to warm the profiler up.
        steps: steps recorded.

    Raises:
        ConfigError: steps under 1, or after_steps under 0.
    """

    # last of all hooks, so that what they do is no wait for data
    priority = "LOWEST"

    # by default no step is recorded whose FLOPs are counted, which would show
    def __init__(self, *, after_steps: int = 20, steps: int = 5) -> None:
        for name, value, least in (("after_steps", after_steps, 0), ("steps", steps, 1)):
            if value < least:
                raise ConfigError(
                    f"got {value}", where=f"ProfileHook.{name}", fix=f"give {least} or more"
                )
        self.after_steps, self.steps = after_steps, steps
        self._first = self._last = -1
        self._profiler: profile | None = None
        self._regions: dict[str, contextlib.ExitStack] = {}
        self._undo = contextlib.ExitStack()

    def before_train(self, runner: Any) -> None:
        """Choose the steps."""
        left = runner.max_iters - runner.iter
        if runner.rank == 0 and left > 1:
            # one step more warms the profiler up
            wanted = min(self.steps + 1, left)
            self._first = runner.iter + min(self.after_steps, left - wanted)
            self._last = self._first + wanted - 1

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Start before the first step chosen; the data of a step have arrived."""
        if batch_idx == self._first:
            self._start(runner)
        self._end("data wait")

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Write the trace after the last step chosen."""
        if self._profiler is None:
            return
        if batch_idx == self._last:
            self._write(runner, batch_idx + 1)
            return
        # on to the next step, or from the warm-up to the first
        self._profiler.step()
        self._begin("data wait")

    def after_train(self, runner: Any) -> None:
        """Write what was recorded of a run that ended sooner."""
        if self._profiler is not None:
            self._end("data wait")
            self._write(runner, runner.iter)

    def close(self) -> None:
        """Stop recording, whatever ended the run."""
        self._undo.close()
        if self._profiler is not None:
            self._profiler.stop()
            self._profiler = None

    def _start(self, runner: Any) -> None:
        # its library reports each start and stop on stderr, which would tear the progress bar
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
        self._profiler = profile(
            schedule=schedule(wait=0, warmup=1, active=self.steps + 1, repeat=1), acc_events=True
        )
        self._profiler.start()
        model = getattr(runner.model, "module", runner.model)
        for handle in (
            model.register_forward_pre_hook(lambda *_: self._begin("forward")),
            model.register_forward_hook(lambda *_: self._end("forward")),
        ):
            self._undo.callback(handle.remove)
        for method, label in (("backward", "backward"), ("step", "optimiser step")):
            self._undo.callback(_name_calls(runner.optim_wrapper, method, label))

    def _write(self, runner: Any, last: int) -> None:
        recorded, path = self._profiler, runner.work_path / FILE
        self.close()
        if recorded is None:
            return
        with tempfile.TemporaryDirectory(dir=runner.work_path, prefix=".trace.") as folder:
            whole = Path(folder) / FILE
            recorded.export_chrome_trace(str(whole))
            whole.replace(path)
        # counted from 1, the one that warmed up left out
        first = self._first + 2
        text = f"trace of steps {first} to {last}: {path}; open it at {VIEWER}"
        runner.console.print(text, markup=False, highlight=False, soft_wrap=True)
        runner.logger.info(text)

    def _begin(self, label: str) -> None:
        self._regions[label] = contextlib.ExitStack()
        self._regions[label].enter_context(record_function(label))

    def _end(self, label: str) -> None:
        if label in self._regions:
            self._regions.pop(label).close()


def _name_calls(owner: Any, method: str, label: str) -> Callable[[], None]:
    """Make the calls of an object's method a region of the trace; return what undoes it."""
    # mmengine's schedules replace step on the object itself, and look for their mark on it
    replaced, original = vars(owner).get(method), getattr(owner, method)

    @functools.wraps(original)
    def named(*args: Any, **kwargs: Any) -> Any:
        with record_function(label):
            return original(*args, **kwargs)

    setattr(owner, method, named)
    if replaced is None:
        return lambda: delattr(owner, method)
    return lambda: setattr(owner, method, replaced)
