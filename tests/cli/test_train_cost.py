"""``gigakit train --dry-run``."""

from __future__ import annotations

import json

import pytest

from gigakit.cli.train_cost import _clock, _scaled


@pytest.fixture
def empty(tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    # no run, no store, no file
    assert not list(folder.iterdir())


def test_it_tells_what_a_run_will_cost(call, empty, feature_folder):
    given = ("--set", f"features={feature_folder}", "--set", "train_cfg.epochs=4")
    code, out, err = call("train", "tiny/slide", "--dry-run", *given)
    assert (code, err) == (0, "")
    lines = {line[:12].strip(): line[12:] for line in out.splitlines()}
    assert lines["recipe"] == "tiny/slide"
    assert "trained of" in lines["parameters"]
    assert lines["steps"] == "4"
    assert lines["step"].endswith("(median of 3) on cpu")
    assert "first" not in lines


def test_as_json(call, empty, feature_folder):
    given = ("--set", f"features={feature_folder}", "--set", "train_cfg.max_steps=2")
    found = json.loads(call("train", "tiny/slide", "--dry-run", "--json", *given)[1])
    assert found["all_parameters"] == found["parameters"] > 0
    assert found["flops_per_step"] > 1e6
    expected = found["start_seconds"] + 2 * found["seconds_per_step"]
    assert found["seconds"] == pytest.approx(expected)
    assert found["prepare"] == []


def test_without_its_data_what_is_known_is_told(call, empty):
    code, out, err = call("train", "tiny/slide", "--dry-run", "--set", "cohort=absent.csv")
    assert code != 0
    assert "parameters  " in out
    assert "not measured" in out
    assert err.startswith("error: absent.csv:")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "fix"),
    [
        (("--dry-run", "--resume"), "leave out --resume"),
        (("--dry-run", "--overwrite"), "leave out --resume and --overwrite"),
        (("--json",), "add --dry-run"),
    ],
)
def test_flags_that_do_not_go_together(call, empty, flags, fix):
    code, _, err = call("train", "tiny/slide", *flags)
    assert code == 2
    assert fix in err


def test_numbers_are_readable():
    assert [_scaled(value) for value in (0, 999, 3.49e9, 5.3e21)] == [
        "0 ",
        "999 ",
        "3.49 G",
        "5.3e+03 E",
    ]
    assert _clock(3725.4) == "1:02:05"
