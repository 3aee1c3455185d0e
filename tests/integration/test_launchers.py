"""Two processes of one run, started as users start them."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = (
    "--set",
    "train_cfg.epochs=9",
    "--set",
    "train_cfg.max_steps=4",
    "--set",
    "train_dataloader.batch_size=2",
)


# as README and the docs have it
COMMAND = "torchrun --nproc-per-node 2 tools/train.py tiny/slide"


@pytest.fixture
def arguments(feature_folder):
    return ["--set", f"features={feature_folder}", *STEPS]


@pytest.fixture
def torchrun(repository, tmp_path):
    """Return a function that runs the command, and more arguments, in an empty folder."""
    (tmp_path / "tools").symlink_to(repository / "tools")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # torchrun's own port may be another test's; it reads its options from the environment too
    environment = {**os.environ, "PATH": tools, "PET_MASTER_PORT": str(free_port())}

    def run(arguments):
        return subprocess.run(
            [*shlex.split(COMMAND), *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return run


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_torchrun_makes_one_run_with_one_voice(repository, torchrun, arguments, tmp_path):
    assert f"\n{COMMAND}\n" in (repository / "README.md").read_text(encoding="utf-8")
    made = torchrun(arguments)
    assert made.returncode == 0, made.stderr
    assert [path.name for path in (tmp_path / "work_dirs/tiny/slide").iterdir()] == ["1"]
    lines = made.stderr.splitlines()
    assert sum("step 4/4" in line for line in lines) == 1
    assert sum("done: " in line for line in lines) == 1
    assert any(line.startswith("device      2 × cpu") for line in lines)
    assert "Warning" not in made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tools", "work_dirs"]
    result = json.loads((tmp_path / "work_dirs/tiny/slide/1/result.json").read_text())
    assert (result["status"], result["steps"]) == ("done", 4)


def test_an_error_of_all_is_told_once(torchrun, arguments):
    sharded = ["--set", "model_wrapper_cfg.type=FullyShardedModel"]
    failed = torchrun([*arguments, *sharded, "--set", "model_wrapper_cfg.param_dtype=bf16"])
    assert failed.returncode != 0
    told = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert 'add optim_wrapper.precision="bf16"' in told[0]


def test_tasks_of_srun_find_each_other(repository, arguments, tmp_path):
    train = str(repository / "tools" / "train.py")
    job = {
        "SLURM_JOB_ID": "77", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_TASKS": "2",
        "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    tasks = [
        subprocess.Popen(
            [sys.executable, train, "tiny/slide", *arguments],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **job, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)},
        )
        for task in (0, 1)
    ]  # fmt: skip
    told = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told
    assert "device      2 × cpu" in told[0]
    assert told[1] == ""
