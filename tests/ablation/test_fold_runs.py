"""The runs of an evaluation: skipped when done, a failed one apart, choices made by val."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from tasks.evaluation.cohort import cohort, write_table

from gigakit.ablation import fold_runs
from gigakit.ablation.fold_plan import candidates, plan_folds, target_of
from gigakit.ablation.fold_results import collect
from gigakit.ablation.fold_runs import failure, is_finished, run_folds
from gigakit.core.errors import ConfigError, InterruptedRunError, WorkDirError
from gigakit.tasks.evaluation.protocol import store_splits
from gigakit.tasks.evaluation.splits import cross_validation, rounds_of

RATE = "optim_wrapper.optimizer.lr"


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Return the plan of three folds, made anew with other settings by calling it."""
    monkeypatch.setattr(
        fold_runs, "TRAIN", (sys.executable, str(Path(__file__).with_name("fake_train.py")))
    )
    data = cohort(patients=24, classes=2)
    splits = cross_validation(data, 3)
    table = write_table(tmp_path / "labels.csv", data)
    (tmp_path / "features").mkdir()
    path = store_splits(tmp_path / "out", data, data, splits)
    settings = {
        "features": str(tmp_path / "features"),
        "labels": str(table),
        "splits": str(path),
        "target.columns": ["grade"],
    }

    def plan(**further):
        return plan_folds(
            "tasks/abmil", splits, rounds_of(data, splits), out=tmp_path / "out",
            settings=settings, **further,
        )  # fmt: skip

    plan.splits, plan.rounds = splits, rounds_of(data, splits)
    return plan


def test_finished_runs_are_skipped_and_a_failed_one_costs_itself_alone(planned, tmp_path):
    plan, told = planned(), []
    stop = tmp_path / "features" / "fail-fold1"
    stop.touch()
    (failed,) = run_folds(plan, announce=told.append)
    assert failed.fold == "fold1"
    assert failure(failed) == "the loss is not finite"
    assert "fold1: failed with exit code 1: the loss is not finite" in "\n".join(told)
    assert [is_finished(run) for run in plan.runs] == [True, False, True]
    results, notes = collect(plan, planned.splits, planned.rounds, unit="patient")
    assert [one.name for one in results] == ["fold0", "fold2"]
    assert notes == [
        "fold1 is not finished (the loss is not finite): the numbers are without fold1"
    ]
    stop.unlink()
    told.clear()
    assert run_folds(plan, jobs=2, announce=told.append) == []
    assert told[0] == "2 of 3 runs: finished before, skipped"
    calls = (tmp_path / "out" / "folds" / "calls").read_text().splitlines()
    assert sorted(calls) == ["fold0 fold0", "fold1 fold1", "fold1 fold1", "fold2 fold2"]
    results, notes = collect(plan, planned.splits, planned.rounds, unit="patient")
    assert notes == []
    assert results[1].facts == {"seed": 0, "steps": 7, "seconds": 2}
    tested = [slide for one in results for slide in one.predictions.slides]
    assert len(tested) == len(set(tested)) == len(planned.splits[0].parts)


def test_validation_chooses_and_the_others_test_predictions_are_not_read(planned):
    plan = planned(choose=[f"{RATE}=0.0001,0.004,0.0002"])
    assert len(plan.runs) == 9
    run_folds(plan, jobs=3, announce=lambda _: None)
    for run in plan.runs:
        if "0.004" not in run.candidate:
            path = run.folder / "predictions.csv"
            # a test prediction that would stop the reading of scores
            path.write_text(path.read_text().replace(",test,", ",unread,"))
    results, _ = collect(plan, planned.splits, planned.rounds, unit="patient")
    assert [one.facts["chosen"] for one in results] == ["lr=0.004"] * 3
    assert all(one.facts["val_score"] == 1.0 for one in results)


def test_other_settings_need_another_folder(planned, tmp_path):
    run_folds(planned(), announce=lambda _: None)
    with pytest.raises(WorkDirError, match="holds a run of other settings; name another --out"):
        run_folds(planned(seed=1), announce=lambda _: None)
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text() + "other,p999,a\n")
    with pytest.raises(WorkDirError, match="other settings"):
        run_folds(planned(), announce=lambda _: None)


def test_a_signal_stops_what_runs_and_begins_nothing_more(planned, tmp_path, monkeypatch):
    sleeper = tmp_path / "sleep.py"
    sleeper.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "open(sys.argv[3] + '/ready', 'w').close()\n"
        "time.sleep(30)\n"
    )
    monkeypatch.setattr(fold_runs, "TRAIN", (sys.executable, str(sleeper)))
    plan = planned()
    ready = plan.runs[0].folder / "ready"

    def stop():
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(InterruptedRunError, match="interrupted") as caught:
        run_folds(plan, announce=lambda _: None)
    thread.join()
    assert caught.value.exit_code == 143
    assert not plan.runs[1].folder.exists()


def test_candidates_are_crossed():
    found = candidates(["a.lr=1,2", "layers=[1,2],[3]"])
    assert list(found) == [
        "lr=1,layers=[1,2]", "lr=1,layers=[3]", "lr=2,layers=[1,2]", "lr=2,layers=[3]"
    ]  # fmt: skip
    assert found["lr=2,layers=[1,2]"] == ("a.lr=2", "layers=[1,2]")
    assert candidates([]) == {"": ()}
    with pytest.raises(ConfigError, match="write --choose key=v1,v2"):
        candidates(["lr"])


def test_recipes_of_other_kinds_and_typos_are_refused(planned):
    assert target_of("tasks/abmil", [])["split_column"] == "split"
    with pytest.raises(ConfigError, match="no recipe of a slide-level task"):
        target_of("gigapath_slide", [])
    with pytest.raises(ConfigError, match=r"did you mean 'optim_wrapper.optimizer.lr'|lrr"):
        planned(choose=["optim_wrapper.optimizer.lrr=1,2"])
    with pytest.raises(ConfigError, match="no such file"):
        planned(init_from=Path("absent.pth"))
