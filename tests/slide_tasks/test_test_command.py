"""``gigakit test``: scores and predictions of a split, and one line for what is wrong."""

from __future__ import annotations

import csv
import sys

import pytest

from gigakit.cli.app import main


@pytest.fixture
def call(monkeypatch, capsys):
    def ask(*arguments):
        monkeypatch.setattr(sys, "argv", ["gigakit", "test", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return ask


def test_it_scores_and_writes_the_test_split(run, call):
    folder, given = run
    code, out, err = call("tasks/abmil", folder, *given, "--device", "cpu")
    assert code == 0, err
    assert "4 slides of split test" in out
    assert "macro_auroc" in out
    with (folder / "predictions-test.csv").open(encoding="utf-8") as stream:
        tested = list(csv.DictReader(stream))
    with (folder / "predictions.csv").open(encoding="utf-8") as stream:
        assert tested == [row for row in csv.DictReader(stream) if row["split"] == "test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tasks/abmil", "nowhere"), "no such file"),
        (("gigapath_slide", "nowhere"), "no recipe of a slide-level task"),
        (("tasks/abmil", "nowhere", "--split", "tune"), "train, val or test"),
    ],
)
def test_what_is_wrong_is_one_line(run, call, arguments, message):
    _, given = run
    own = given if arguments[0] == "tasks/abmil" else []
    code, out, err = call(*arguments, *own)
    assert code != 0
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("note")]
    assert len(lines) == 1
    assert message in lines[0]
