"""Runs of a plan: what each is told to do, how failures are told, what goes on or begins anew."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gigakit.ablation import execution
from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.execution import run_plan, train_command
from gigakit.ablation.plan import make_plan
from gigakit.ablation.run_state import is_finished, read_note, read_result
from gigakit.config import load_config
from gigakit.engine.run_lock import run_lock

DONE = "import json, pathlib, sys; p = pathlib.Path(sys.argv[1], 'result.json'); "
DONE += "p.write_text(json.dumps({'status': 'done'}))"
FAILS = "import json, pathlib, sys; p = pathlib.Path(sys.argv[1], 'result.json'); "
FAILS += "p.write_text(json.dumps({'status': 'failed', 'reason': 'diverged'})); sys.exit(1)"
REFUSED = "import sys; print('error: cannot be built', file=sys.stderr); sys.exit(2)"
KILLED = "import os; os.kill(os.getpid(), 9)"


@pytest.fixture
def plan(tmp_path, feature_folder):
    axes = recipe_axes(load_config("tiny/slide").values)
    return make_plan(
        "tiny/slide", [choose(axes["attention"], "dilated,local")],
        overrides=[f"features={feature_folder}"], seeds=2, out=tmp_path / "out",
    )  # fmt: skip


@pytest.fixture
def play(monkeypatch, plan):
    """Return a function that runs a plan with these programs in the place of training."""

    def run(*programs, slots=1):
        codes = {run.folder: code for run, code in zip(plan.runs, programs, strict=True)}

        def command(_, run):
            return [sys.executable, "-S", "-c", codes[run.folder], str(plan.out / run.folder)]

        monkeypatch.setattr(execution, "train_command", command)
        lines = []
        failed = run_plan(plan, announce=lines.append, slots=[{} for _ in range(slots)])
        return [str(path.relative_to(plan.out)) for path in failed], lines

    return run


@pytest.mark.parametrize("slots", [1, 2])
def test_failed_runs_are_told_with_their_reason_and_stop_no_other(play, plan, slots):
    failed, lines = play(FAILS, DONE, KILLED, DONE, slots=slots)
    assert failed == ["attention=dilated/seed0", "attention=local/seed0"]
    assert any("[1/4] attention=dilated, seed 0: failed: diverged; see" in line for line in lines)
    assert any("[3/4]" in line and "killed by SIGKILL" in line for line in lines)
    assert sum(": done in 0:00:0" in line for line in lines) == 2
    assert read_result(plan.out / failed[1])["status"] == "failed"
    assert not is_finished(plan.out / failed[0], plan.runs[0])
    # the same call tries them again, and only them
    failed, lines = play(DONE, FAILS, DONE, FAILS, slots=slots)
    assert failed == []
    assert sum("skipped" in line for line in lines) == 2


def test_what_a_run_printed_last_is_its_reason_where_it_left_none(play, plan):
    failed, lines = play(DONE, REFUSED, DONE, DONE, slots=2)
    assert failed == ["attention=dilated/seed1"]
    assert any(line.endswith("failed: cannot be built") for line in lines)
    assert read_result(plan.out / failed[0])["reason"] == "cannot be built"
    assert "cannot be built" in (plan.out / failed[0] / "output.log").read_text()


def test_a_folder_in_which_another_process_trains_is_left_alone(play, plan):
    folder = plan.out / plan.runs[0].folder
    folder.mkdir(parents=True)
    # the lock is a process's own
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from gigakit.ablation.run_state import mark_failed\n"
        f"print(mark_failed(Path({str(folder)!r}), 2, None))"
    )
    with run_lock(folder):
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert "is being trained by process" in told.stdout
    assert not (folder / "result.json").exists()


def test_a_run_goes_on_from_its_checkpoint_or_begins_anew(plan):
    run = plan.runs[0]
    folder = plan.out / run.folder
    folder.mkdir(parents=True)
    assert {"--resume", "--overwrite"}.isdisjoint(train_command(plan, run))
    # what the ablation itself wrote is no run
    (folder / "run.json").touch()
    (folder / "output.log").touch()
    assert {"--resume", "--overwrite"}.isdisjoint(train_command(plan, run))
    (folder / "train.log").touch()
    assert train_command(plan, run)[-1] == "--overwrite"
    (folder / "last_checkpoint").touch()
    assert train_command(plan, run)[-1] == "--resume"


def test_the_folder_tells_how_to_repeat_the_run(play, plan, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    play(DONE, DONE, DONE, FAILS)
    note = read_note(plan.out / plan.runs[3].folder)
    assert note["cell"] == "attention=local"
    assert (note["labels"], note["seed"]) == ({"attention": "local"}, 1)
    assert note["digest"] == plan.runs[3].digest
    assert list(note["overrides"]) == list(plan.runs[3].overrides)
    stored = json.loads((plan.out / "plan.json").read_text())
    assert stored["baseline"] == "attention=dilated"
    assert [run["cell"] for run in stored["runs"]] == [run.cell for run in plan.runs]


def test_a_run_keeps_the_threads_it_began_with(play, plan, monkeypatch):
    says = "import os, pathlib, sys; "
    says += "pathlib.Path(sys.argv[1], 'threads').write_text(os.environ['OMP_NUM_THREADS'])"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    play(says, says, DONE, DONE)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    play(says, says, DONE, DONE)
    assert (plan.out / plan.runs[0].folder / "threads").read_text() == "3"
