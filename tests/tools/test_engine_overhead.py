"""The overhead benchmark runs, and what it compares is the same training."""

import importlib
import json
import subprocess
import sys

import pytest


def test_it_prints_a_table_of_loops_that_do_the_same(repository, tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "tools/bench/engine_overhead.py",
         "--steps", "2000", "--turns", "2", "--json", figures],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for loop in ("bare", "gigakit", "mmengine"):
        assert done.stdout.count(f"| {loop} |") == 3
    assert "Weights of bare and gigakit there: bit-identical" in done.stdout
    early, late = json.loads(figures.read_text())["marks"].values()
    # nothing that a checkpoint holds grows with the run
    assert early["gigakit"]["checkpoint_bytes"] == late["gigakit"]["checkpoint_bytes"]
    assert late["gigakit"]["rss_mb"] - early["gigakit"]["rss_mb"] < 20


@pytest.mark.parametrize("arguments", [("--steps", "50"), ("--turns", "21")])
def test_it_refuses_what_does_not_fit_together(repository, monkeypatch, capsys, arguments):
    monkeypatch.syspath_prepend(repository / "tools" / "bench")
    monkeypatch.setattr(sys, "argv", ["engine_overhead.py", *arguments])
    with pytest.raises(SystemExit) as refused:
        importlib.import_module("engine_overhead").main()
    assert refused.value.code == 2
    assert f"{arguments[0]}: give" in capsys.readouterr().err
