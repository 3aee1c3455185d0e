"""The runs of an ablation as an array of SLURM jobs, through submitit."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigakit.ablation.execution import place, train_command, unfinished
from gigakit.ablation.plan import Plan
from gigakit.ablation.run_state import (
    is_finished,
    mark_failed,
    note_start,
    read_result,
    result_stamp,
)
from gigakit.core.errors import ConfigError, InterruptedRunError
from gigakit.core.files import write_json

if TYPE_CHECKING:
    import submitit

# what submitit knows for every cluster; the rest are sbatch's own
_GENERAL = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")
_ALIVE = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "PREEMPTED", "SUSPENDED")
# a run goes on from its checkpoint, so a time limit is no end
_MOST_TIMEOUTS = 1000
_DEFAULT_MINUTES = 24 * 60


class RunOnNode:
    """One run, as a job: it goes on where an earlier job of it stopped.

    SLURM's signal before a time limit or a preemption lets the run write its checkpoint; then the
    job is queued again.

    Args:
        plan: the ablation; its folder has to be absolute.
        number: the run's place in it.
    """

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number = plan, number
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Make the run and return the exit code of its process."""
        run = self.plan.runs[self.number]
        folder = self.plan.out / run.folder
        if is_finished(folder, run):
            return 0
        command = train_command(self.plan, run)
        before = result_stamp(folder)
        note_start(folder, run, {}, command)
        self._child = subprocess.Popen(command)
        code = self._child.wait()
        if not is_finished(folder, run):
            mark_failed(folder, code, before)
        return code

    def checkpoint(self) -> Any:
        """Let the run write its checkpoint, and return what to queue again; submitit calls it."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        if self._child is not None:
            self._child.send_signal(signal.SIGUSR2)
            # this interrupts its wait(), whose lock a second one would wait for without end
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(RunOnNode(self.plan, self.number))


def run_on_slurm(
    plan: Plan,
    *,
    jobs: int | None = None,
    options: Sequence[str] = (),
    announce: Callable[[str], None],
    cluster: str = "slurm",
    poll_seconds: float = 5.0,
) -> list[Path]:
    """Submit the runs that are not finished as an array of jobs, and wait for them.

    Runs whose jobs of an earlier call are still queued or running are waited for, not submitted
    again.

    Args:
        plan: what to run.
        jobs: how many run at a time; ``None`` leaves it to the scheduler.
        options: ``key=value`` for submitit (``timeout_min``, ``gpus_per_node``, ...) or for sbatch
            (``partition``, ``account``, ...); the time limit is a day unless given.
        announce: receives a line as jobs are submitted and end.
        cluster: submitit's name of where jobs run.
        poll_seconds: how often to look.

    Returns:
        The folders of runs that failed.

    Raises:
        ConfigError: submitit or SLURM is not there, or an option is unknown.
        InterruptedRunError: Ctrl-C; the jobs go on.
        WorkDirError: a run's folder holds a run of other settings.
    """
    plan = replace(plan, out=plan.out.absolute())
    executor = _executor(plan, jobs, options, cluster)
    todo = [number for number, _ in unfinished(plan, announce)]
    plan.write()
    waiting = _attached(plan, todo) if cluster == "slurm" else {}
    new = [number for number in todo if number not in waiting]
    if waiting:
        announce(f"still queued or running: {len(waiting)}")
    if new:
        submitted = _submit(executor, [RunOnNode(plan, number) for number in new])
        waiting |= dict(zip(new, submitted, strict=True))
        array = submitted[0].job_id.partition("_")[0]
        announce(f"submitted {len(new)} run{'s' * (len(new) > 1)}: job {array}")
    ids = {plan.runs[number].folder: job.job_id for number, job in waiting.items()}
    write_json(_notes(plan), ids)
    try:
        return _wait(plan, waiting, announce, poll_seconds)
    except KeyboardInterrupt:
        stop = " ".join(sorted({job_id.partition("_")[0] for job_id in ids.values()}))
        raise InterruptedRunError(
            "the jobs go on",
            where=plan.out,
            fix=f"the same command waits for them again; scancel {stop} stops them",
        ) from None


def _submit(executor: submitit.AutoExecutor, runs: Sequence[RunOnNode]) -> list[Any]:
    """Submit runs as one array.

    Raises:
        ConfigError: SLURM refuses them.
    """
    from submitit.core.utils import FailedJobError  # noqa: PLC0415

    try:
        # one by one in a batch, so that each is the callable whose checkpoint() submitit calls
        with executor.batch():
            jobs = [executor.submit(run) for run in runs]
    except FailedJobError as error:
        told = str(error).strip().splitlines() or ["sbatch failed"]
        raise ConfigError(told[-1], where="--slurm", fix="see --slurm-option") from error
    return jobs


def _wait(
    plan: Plan, jobs: Mapping[int, Any], announce: Callable[[str], None], poll_seconds: float
) -> list[Path]:
    waiting, failed = dict(jobs), []
    while waiting:
        for number, job in list(waiting.items()):
            run = plan.runs[number]
            folder = plan.out / run.folder
            if is_finished(folder, run):
                announce(f"{place(plan, number)}: done")
            elif job.done():
                told = (read_result(folder) or {}).get("reason")
                why = told or f"job {job.job_id} is {job.state}"
                announce(f"{place(plan, number)}: failed: {why}; see {job.paths.stderr}")
                failed.append(folder)
            else:
                continue
            del waiting[number]
        if waiting:
            time.sleep(poll_seconds)
    return sorted(failed)


def _executor(
    plan: Plan, jobs: int | None, options: Sequence[str], cluster: str
) -> submitit.AutoExecutor:
    if importlib.util.find_spec("submitit") is None:
        fix = "pip install 'gigakit[cluster]'"
        raise ConfigError("submitit is not installed", where="--slurm", fix=fix)
    if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        fix = "run this on a login node, or leave out --slurm"
        raise ConfigError("there is no SLURM here: no sbatch and srun", where="--slurm", fix=fix)
    import submitit  # noqa: PLC0415

    given = {"timeout_min": _DEFAULT_MINUTES, "name": f"ablate-{plan.name}"}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(
                f"cannot read '{text}'", where="--slurm-option", fix="write KEY=VALUE"
            )
        given[key if key in _GENERAL else f"slurm_{key.removeprefix('slurm_')}"] = _value(value)
    if jobs is not None:
        given["slurm_array_parallelism"] = jobs
    executor = submitit.AutoExecutor(
        folder=plan.out / "slurm", cluster=cluster, slurm_max_num_timeout=_MOST_TIMEOUTS
    )
    try:
        executor.update_parameters(**given)
    except (NameError, AssertionError) as error:
        what = str(error).splitlines()[0]
        raise ConfigError(what, where="--slurm-option", fix="mend its name or value") from error
    return executor


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _attached(plan: Plan, todo: Sequence[int]) -> dict[int, Any]:
    """Return the jobs of an earlier call that are still alive, by their run's place in the plan."""
    import submitit  # noqa: PLC0415

    if not _notes(plan).is_file():
        return {}
    ids = json.loads(_notes(plan).read_text(encoding="utf-8"))
    jobs: dict[int, Any] = {
        number: submitit.SlurmJob(folder=plan.out / "slurm", job_id=ids[plan.runs[number].folder])
        for number in todo
        if plan.runs[number].folder in ids
    }
    for job in jobs.values():
        job.watcher.update_if_long_enough("force")
    return {number: job for number, job in jobs.items() if job.state.upper() in _ALIVE}


def _notes(plan: Plan) -> Path:
    return plan.out / "slurm" / "jobs.json"
