"""The executors: same results everywhere, and nobody's trouble is another's."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from gigakit.core.errors import ConfigError, StorageFullError
from gigakit.registry import EXECUTORS
from gigakit.wsi import work as work_module
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.executors.local_executor import LocalExecutor
from gigakit.wsi.executors.shard_executor import ShardExecutor
from gigakit.wsi.pipeline import run_cohort

from ..work_stubs import Named


def cohort(*names):
    return Cohort("c", tuple(SlideRow(name, Path(f"/slides/{name}.svs")) for name in names))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def states(result):
    return {slide.slide_id: slide.state for slide in result.slides}


def log(folder):
    return (folder / "log").read_text().splitlines()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_cohorts_order_and_a_second_run_skips(folder, workers):
    names = ["a", "bad-1", "b", "c"]
    executor = LocalExecutor(workers=workers)
    result = run_cohort(cohort(*names), Named(folder), executor=executor)
    assert list(states(result).items()) == [
        ("a", "done"), ("bad-1", "failed"), ("b", "done"), ("c", "done"),
    ]  # fmt: skip
    with (folder / "status.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["slide_id"] for row in rows] == names
    assert rows[1]["reason"] == "/slides/bad-1.svs: is bad"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c", "log", "status.csv"]
    again = run_cohort(cohort(*names), Named(folder), executor=executor)
    assert again.counts == {"done": 0, "skipped": 3, "empty": 0, "failed": 1}
    assert sorted(log(folder)) == ["a", "b", "bad-1", "bad-1", "c"]


def test_a_dead_or_hanging_process_costs_its_own_slide_alone(folder):
    names = ["a", "dies-1", "b", "hangs-1", "dies_once-1", "c", "d"]
    executor = LocalExecutor(workers=2, time_limit=4)
    result = run_cohort(cohort(*names), Named(folder), executor=executor)
    found = {slide.slide_id: slide for slide in result.slides}
    assert {name for name, slide in found.items() if slide.state == "done"} == {
        "a", "b", "c", "d", "dies_once-1",
    }  # fmt: skip
    assert "ended by SIGKILL twice, perhaps for want of memory" in found["dies-1"].reason
    assert found["hangs-1"].reason.endswith("took longer than its limit of 4 s")
    assert log(folder).count("dies-1") == 2
    assert log(folder).count("hangs-1") == 1


def test_a_time_limit_needs_no_number_of_workers(folder):
    result = run_cohort(cohort("hangs-1", "a"), Named(folder), executor=LocalExecutor(time_limit=3))
    assert states(result) == {"hangs-1": "failed", "a": "done"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(folder, workers):
    with pytest.raises(StorageFullError, match="make room and run the same command again"):
        run_cohort(
            cohort("a", "full-1", "b"), Named(folder), executor=LocalExecutor(workers=workers)
        )
    assert (folder / "a").exists()
    assert not (folder / "b").exists()
    assert "a,done" in (folder / "status.csv").read_text()


def test_what_may_pass_is_tried_again_and_a_bad_slide_is_not(folder, monkeypatch):
    monkeypatch.setattr(work_module, "_PAUSES_SECONDS", (0.0, 0.0))
    result = run_cohort(cohort("stale-1", "bad-1"), Named(folder))
    assert states(result) == {"stale-1": "done", "bad-1": "failed"}
    assert log(folder) == ["stale-1", "stale-1", "stale-1", "bad-1"]


def test_shards_hold_each_slide_once(folder):
    names = [f"s{number}" for number in range(40)]
    parts = []
    for index in range(3):
        executor = EXECUTORS.build({"type": "ShardExecutor", "shard": f"{index}/3"})
        result = run_cohort(cohort(*names), Named(folder), executor=executor)
        assert result.status.name == f"status-{index}-of-3.csv"
        parts.append({slide.slide_id for slide in result.slides})
    assert sorted(log(folder)) == sorted(names)
    assert min(map(len, parts)) > 4


def test_a_job_array_tells_its_part(monkeypatch):
    for name, value in (("ID", "7"), ("MIN", "5"), ("COUNT", "4")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert ShardExecutor().part == "2-of-4"
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "9")
    with pytest.raises(ConfigError, match="are not 5 to 8"):
        ShardExecutor()
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    with pytest.raises(ConfigError, match="no SLURM job array; add --shard i/n"):
        ShardExecutor()


@pytest.mark.parametrize("shard", ["3/3", "1", "a/b", "-1/2", "1/0"])
def test_a_part_that_is_none_is_refused(shard):
    with pytest.raises(ConfigError, match="give i/n with i from 0 to n - 1"):
        ShardExecutor(shard=shard)


def test_two_runs_at_once_do_each_slide_once(folder):
    names = ["slow-1", "slow-2", "slow-3"]
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from tests.wsi.executors.test_executors import Named, cohort
        from gigakit.wsi.pipeline import run_cohort
        result = run_cohort(cohort(*{names!r}), Named(Path({str(folder)!r})))
        print(*(slide.state for slide in result.slides))
        """
    )
    repository = Path(__file__).parents[3]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=repository,
            env={**os.environ, "PYTHONPATH": str(repository)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    found = [run.communicate(timeout=60)[0].split() for run in runs]
    assert sorted(log(folder)) == names
    assert all(set(states) <= {"done", "skipped"} and len(states) == 3 for states in found)
    assert sum(states.count("done") for states in found) == 3


def test_a_slide_that_another_run_works_on_comes_last(folder, monkeypatch):
    lease = folder / ".leases" / "a"
    lease.parent.mkdir()
    lease.write_text('{"host": "elsewhere", "pid": 7, "began": 1}')

    def finish():
        time.sleep(0.5)
        (folder / "a").write_text("theirs")
        lease.unlink()

    threading.Thread(target=finish).start()
    lines = []
    result = run_cohort(cohort("a", "b"), Named(folder), announce=lines.append)
    assert states(result) == {"a": "skipped", "b": "done"}
    assert lines[1] == "waits for 1 slides that process 7 on elsewhere is working on"
    assert log(folder) == ["b"]
