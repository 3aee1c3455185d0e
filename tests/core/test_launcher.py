"""What the environment of a launched process says."""

from __future__ import annotations

import os

import pytest

from gigakit.core.errors import ConfigError
from gigakit.core.launcher import environment_rank, first_host, is_one_of_many

SLURM = {
    "SLURM_JOB_ID": "4001234",
    "SLURM_STEP_NODELIST": "gpu[003-004]",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", *SLURM)


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets these variables, and none of the others that matter."""

    def put(**variables):
        # set before removed, so that what is written under test is taken back
        for name in NAMES:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("node7", "node7"),
        ("node7,node9", "node7"),
        ("gpu[003-006,9],x1", "gpu003"),
        ("gpu[12,15-17]", "gpu12"),
        ("rack[1-2]n[3-4].site", "rack1n3.site"),
    ],
)
def test_the_first_host_of_slurms_list(nodes, host):
    assert first_host(nodes) == host


def test_a_process_started_alone(environment):
    environment()
    assert not is_one_of_many()
    assert environment_rank() == 0


def test_a_process_of_torchrun(environment):
    environment(RANK="2", WORLD_SIZE="3", LOCAL_RANK="2", MASTER_ADDR="a", MASTER_PORT="1")
    assert is_one_of_many()
    assert environment_rank() == 2
    assert os.environ["MASTER_ADDR"] == "a"


def test_a_task_of_srun_gets_what_torch_reads(environment):
    environment(**SLURM)
    assert environment_rank() == 3
    assert is_one_of_many()
    found = {name: os.environ[name] for name in NAMES if name not in SLURM}
    assert found.pop("MASTER_PORT") == str(20000 + 4001234 % 20000)
    assert found == {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "gpu003"}


def test_what_the_user_sets_wins_over_slurm(environment):
    environment(**SLURM, MASTER_ADDR="10.0.0.1", MASTER_PORT="5")
    assert is_one_of_many()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.1", "5")


def test_a_batch_script_itself_is_one_process(environment):
    job = {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    environment(**job)
    assert not is_one_of_many()


def test_half_an_environment_is_an_error(environment):
    environment(RANK="0", WORLD_SIZE="2", MASTER_ADDR="a")
    with pytest.raises(ConfigError, match="RANK is set, but MASTER_PORT is not"):
        is_one_of_many()
