"""Train what a resolved config describes, and write down what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pprint
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config
from mmengine.runner import BaseLoop

from gigakit.core.errors import InterruptedRunError
from gigakit.core.files import write_json
from gigakit.core.heap import return_large_blocks
from gigakit.engine import compat, processes
from gigakit.engine.hooks.scalars_hook import ScalarsHook
from gigakit.engine.resources import peak_cuda_memory_mb, peak_memory_mb
from gigakit.engine.run_lock import run_lock
from gigakit.engine.run_record import record_start
from gigakit.engine.runners.gigakit_runner import GigakitRunner, versions
from gigakit.engine.screen import borrowed_logger

FILE = "result.json"


@dataclass
class TrainResult:
    """What a run came to; ``result.json`` holds the same, with the caller's own entries.

    Attributes:
        status: ``done``, ``interrupted`` by a signal, or ``failed``.
        reason: what stopped a run that is not done.
        steps: optimiser steps done, over all parts of a resumed run.
        seconds: wall time, over all parts of a resumed run up to their checkpoints.
        cpu_seconds: processor time alike, loader workers included.
        first_loss: loss of the first step.
        last_loss: mean loss of the last logged interval.
        metrics: of the last validation.
        parameters: trained parameters.
        skipped_steps: steps skipped because loss or gradient was not finite.
        peak_memory_mb: largest resident set in MiB.
        peak_cuda_memory_mb: most CUDA memory allocated in MiB, where CUDA was used.
        checkpoint: newest checkpoint, relative to the run's folder.
        versions: of what the numbers depend on.
    """

    status: Literal["done", "interrupted", "failed"] = "failed"
    reason: str | None = None
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    parameters: int = 0
    skipped_steps: int = 0
    peak_memory_mb: float = 0.0
    peak_cuda_memory_mb: float | None = None
    checkpoint: str | None = None
    versions: dict[str, str] = field(default_factory=versions)


def train(
    values: Mapping[str, Any],
    *,
    work_dir: Path,
    resume: bool = False,
    init_from: Path | None = None,
    config_text: str | None = None,
    banner: Sequence[str] = (),
    extra_meta: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Train, validate, and leave log, events, checkpoints and ``result.json`` in a folder.

    Args:
        values: a resolved config: mmengine Runner's keys, plain values.
        work_dir: folder of the run, see :func:`gigakit.engine.run_directory.prepare_work_dir`.
        resume: go on from the newest valid checkpoint of ``work_dir``, if there is one.
        init_from: weights to start from where nothing is resumed.
        config_text: what ``config.py`` holds; by default the values themselves, runnable.
        banner: lines to show before the first step, the most important first.
        extra_meta: entries to add to ``result.json``, such as ``notes``.
        origin: what ``environment.json`` tells of the run's recipe and data, see
            :func:`gigakit.engine.run_record.origin_of`.

    Raises:
        InterruptedRunError: a signal stopped the run; its exit code is 130 or 143.
        WorkDirError: another process trains in the folder.
        GigakitError: the run cannot be built or trained.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    return_large_blocks()
    with processes.joined(), contextlib.ExitStack() as held:
        # a run that is refused must not write a result beside the other's
        processes.on_first(lambda: held.enter_context(run_lock(work_dir)))
        processes.on_first(lambda: record_start(work_dir, origin or {}, resumed=resume))
        result = TrainResult()
        try:
            with compat.scoped_run(), borrowed_logger("gigakit"), contextlib.ExitStack() as stack:
                runner = build_runner(values, work_dir, resume=resume, init_from=init_from)
                stack.callback(runner.close)
                runner.banner, runner.config_text = banner, config_text or format_config(values)
                _run(runner, result)
            result.status = "done"
        except InterruptedRunError as error:
            result.status, result.reason = "interrupted", error.what
            raise
        except Exception as error:
            result.reason = str(error) or type(error).__name__
            raise
        finally:
            if processes.is_first():
                content = {**dataclasses.asdict(result), **(extra_meta or {})}
                write_json(work_dir / FILE, content)
    return result


def _run(runner: GigakitRunner, result: TrainResult) -> None:
    try:
        runner.train()
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"stopped at once after step {runner.iter}, without a checkpoint of that step",
            where=runner.work_dir,
            fix="--resume goes on from the last checkpoint",
            exit_code=runner.stop_signals.exit_code,
        ) from None
    except Exception:
        runner.logger.info("the run failed", exc_info=True)
        raise
    finally:
        _complete(result, runner)


def format_config(values: Mapping[str, Any]) -> str:
    """Return plain values as the text of a config that can be run."""
    lines = (f"{key} = {pprint.pformat(value, sort_dicts=False)}" for key, value in values.items())
    return "\n".join(lines) + "\n"


def build_runner(
    values: Mapping[str, Any],
    work_dir: Path,
    *,
    resume: bool = False,
    init_from: Path | None = None,
) -> GigakitRunner:
    """Return the runner of a resolved config; see :func:`train` for what it takes."""
    config = Config(
        {
            "randomness": {"seed": 0},
            "env_cfg": {},
            **values,
            "work_dir": str(work_dir.absolute()),
            "resume": resume,
            "load_from": str(init_from) if init_from else None,
            "default_scope": "gigakit",
            "experiment_name": str(work_dir.absolute()),
        }
    )
    runner: GigakitRunner = GigakitRunner.from_cfg(config)  # type: ignore[assignment]
    return runner


def _complete(result: TrainResult, runner: GigakitRunner) -> None:
    if not isinstance(runner._train_loop, BaseLoop):
        # what was built of the run tells nothing; asking for more would raise the error again
        return
    result.steps = runner.iter
    result.seconds = runner.stopwatch.seconds
    result.cpu_seconds = runner.stopwatch.cpu_seconds
    result.parameters = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    result.peak_memory_mb, result.peak_cuda_memory_mb = peak_memory_mb(), peak_cuda_memory_mb()
    result.skipped_steps = getattr(runner.optim_wrapper, "skipped_steps", 0)
    pointer = runner.work_path / "last_checkpoint"
    if pointer.is_file():
        result.checkpoint = pointer.read_text(encoding="utf-8").strip()
    for hook in runner.hooks:
        if isinstance(hook, ScalarsHook):
            result.first_loss, result.last_loss = _finite(hook.first_loss), _finite(hook.last_loss)
            result.metrics = {key: _finite(value) for key, value in hook.metrics.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
