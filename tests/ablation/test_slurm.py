"""Runs as SLURM jobs: what is submitted, what is waited for, and what a time limit does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from gigakit.ablation import slurm
from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.plan import make_plan
from gigakit.ablation.slurm import RunOnNode, run_on_slurm
from gigakit.config import load_config
from gigakit.core.errors import ConfigError

pytest.importorskip("submitit")
# what sbatch, srun and sacct are to submitit
SBATCH = """#!/bin/sh
if grep -q partition=none "$1"; then
  echo "sbatch: error: Invalid partition name specified" >&2
  exit 1
fi
echo "Submitted batch job 7"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
for task in 0 1; do echo "7_$task|$(cat "$(dirname "$0")/state")|node"; done
"""


@pytest.fixture
def plan(tmp_path, feature_folder):
    axes = recipe_axes(load_config("tiny/slide").values)
    return make_plan(
        "tiny/slide", [choose(axes["attention"], "dilated,local")],
        overrides=[f"features={feature_folder}"], out=tmp_path / "out",
    )  # fmt: skip


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put a SLURM on the path that takes jobs and runs none; return its folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SBATCH, "sacct": SACCT}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "state").write_text("FAILED")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def test_an_array_of_jobs_is_submitted(plan, cluster):
    lines = []
    failed = run_on_slurm(
        plan, jobs=1, options=["partition=gpu", "gpus_per_node=1", "timeout_min=90"],
        announce=lines.append, poll_seconds=0.01,
    )  # fmt: skip
    script = (plan.out / "slurm" / "7_submission.sh").read_text()
    for wanted in ("array=0-1%1", "partition=gpu", "gpus-per-node=1", "time=90", "signal=USR2@"):
        assert f"#SBATCH --{wanted}" in script
    assert lines[0] == "submitted 2 runs: job 7"
    # the jobs of this cluster fail without a word
    assert [path.parent.name for path in failed] == ["attention=dilated", "attention=local"]
    assert "job 7_0 is FAILED" in lines[1]
    assert (plan.out / "plan.json").is_file()


def test_jobs_that_still_run_are_waited_for_and_not_submitted_again(plan, cluster, monkeypatch):
    (plan.out / "slurm").mkdir(parents=True)
    ids = {run.folder: f"7_{number}" for number, run in enumerate(plan.runs)}
    (plan.out / "slurm" / "jobs.json").write_text(json.dumps(ids))
    (cluster / "state").write_text("RUNNING")

    def end(_):
        for run in plan.runs:
            _finish(plan, run)

    monkeypatch.setattr(slurm.time, "sleep", end)
    lines = []
    assert run_on_slurm(plan, announce=lines.append) == []
    assert lines[0] == "still queued or running: 2"
    assert not (plan.out / "slurm" / "7_submission.sh").exists()


def _finish(plan, run):
    folder = plan.out / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"digest": run.digest}))
    (folder / "result.json").write_text('{"status": "done"}')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["partitoin=x"], "Unknown argument 'partitoin'"),
        (["partition"], "write KEY=VALUE"),
        (["timeout_min=long"], "timeout_min"),
        (["partition=none"], "Invalid partition name"),
    ],
)
def test_what_slurm_does_not_take_is_one_line(plan, cluster, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run_on_slurm(plan, options=options, announce=lambda _: None, poll_seconds=0.01)
    assert "\n" not in str(caught.value)


def test_without_slurm_or_submitit_it_says_so(plan, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="no sbatch and srun"):
        run_on_slurm(plan, announce=lambda _: None)
    monkeypatch.setattr(slurm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'gigakit\[cluster\]'"):
        run_on_slurm(plan, announce=lambda _: None)


def test_a_job_runs_once_and_notes_its_failure(plan, monkeypatch):
    run, folder = plan.runs[0], plan.out / plan.runs[0].folder
    monkeypatch.setattr(
        slurm, "train_command", lambda *_: [sys.executable, "-c", "raise SystemExit(4)"]
    )
    assert RunOnNode(plan, 0)() == 4
    assert json.loads((folder / "result.json").read_text())["reason"] == "exit code 4"
    _finish(plan, run)
    monkeypatch.setattr(slurm, "train_command", lambda *_: pytest.fail("it is finished"))
    assert RunOnNode(plan, 0)() == 0


WRITES = """
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(0.2)
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit(140)
signal.signal(signal.SIGUSR2, stop)
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(60)
"""


def test_a_time_limit_lets_the_run_write_its_checkpoint_and_queues_it_again(plan, monkeypatch):
    """The signal interrupts the wait for the run, as submitit's handler does."""
    folder = plan.out / plan.runs[1].folder
    command = [sys.executable, "-S", "-c", WRITES, str(folder)]
    monkeypatch.setattr(slurm, "train_command", lambda *_: command)
    job, queued = RunOnNode(plan, 1), []

    def limit(*_):
        # the run may be ready before this process has returned from starting it
        if job._child is not None:
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            queued.append(job.checkpoint())

    before = signal.signal(signal.SIGUSR2, limit)
    watch = (
        "import os, pathlib, signal, sys, time\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "while not (folder / 'ready').exists(): time.sleep(0.01)\n"
        "for _ in range(1000):\n"
        "    if (folder / 'saved').exists(): break\n"
        "    os.kill(int(sys.argv[2]), signal.SIGUSR2)\n"
        "    time.sleep(0.05)\n"
    )
    watcher = [sys.executable, "-S", "-c", watch, str(folder), str(os.getpid())]
    begin = time.monotonic()
    try:
        with subprocess.Popen(watcher):
            assert job() == 140
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert time.monotonic() - begin < 30
    assert (folder / "saved").is_file()
    again = queued[0].function
    assert (again.plan, again.number) == (plan, 1)
