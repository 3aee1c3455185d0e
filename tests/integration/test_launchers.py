"""Two processes of one run, started as users start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

STEPS = (
    "--set",
    "train_cfg.epochs=9",
    "--set",
    "train_cfg.max_steps=4",
    "--set",
    "train_dataloader.batch_size=2",
)


@pytest.fixture
def arguments(repository, feature_folder):
    train = str(repository / "tools" / "train.py")
    return [train, "tiny/slide", "--set", f"features={feature_folder}", *STEPS]


def torchrun(arguments, folder):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, "--master-port", str(free_port()), *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_torchrun_makes_one_run_with_one_voice(arguments, tmp_path):
    made = torchrun(arguments, tmp_path)
    assert made.returncode == 0, made.stderr
    assert [path.name for path in (tmp_path / "work_dirs/tiny/slide").iterdir()] == ["1"]
    lines = made.stderr.splitlines()
    assert sum("step 4/4" in line for line in lines) == 1
    assert sum("done: " in line for line in lines) == 1
    assert any(line.startswith("device      2 × cpu") for line in lines)
    assert "Warning" not in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["work_dirs"]
    result = json.loads((tmp_path / "work_dirs/tiny/slide/1/result.json").read_text())
    assert (result["status"], result["steps"]) == ("done", 4)


def test_an_error_of_all_is_told_once(arguments, tmp_path):
    sharded = ["--set", "model_wrapper_cfg.type=FullyShardedModel"]
    failed = torchrun(
        [*arguments, *sharded, "--set", "model_wrapper_cfg.param_dtype=bf16"], tmp_path
    )
    assert failed.returncode != 0
    told = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert 'add optim_wrapper.precision="bf16"' in told[0]


def test_tasks_of_srun_find_each_other(arguments, tmp_path):
    job = {
        "SLURM_JOB_ID": "77", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_TASKS": "2",
        "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    tasks = [
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **job, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)},
        )
        for task in (0, 1)
    ]  # fmt: skip
    told = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told
    assert "device      2 × cpu" in told[0]
    assert told[1] == ""
