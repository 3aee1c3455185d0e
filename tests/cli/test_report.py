"""``gigakit report`` on an ablation's folder: from its files alone, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gigakit.ablation.plan import Plan, Run
from gigakit.cli.report import report
from gigakit.core.errors import ConfigError


@pytest.fixture
def ablation(tmp_path):
    """Return the folder of an ablation of two cells, one run done; its recipe is elsewhere."""
    runs = tuple(
        Run(f"x={label}", {"x": label}, 0, (f"model.x={label}",), f"digest{label}")
        for label in ("1", "2")
    )
    plan = Plan("/elsewhere/mine.py", "mine", tmp_path / "ablation", {"x": ("model.x",)}, runs)
    plan.write()
    folder = plan.out / runs[0].folder
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"digest": runs[0].digest}))
    result = {
        "status": "done", "metrics": {"reconstruction/r2": 0.25}, "last_loss": 0.5, "steps": 10,
        "parameters": 1000, "seconds": 5.0, "cpu_seconds": 6.0, "peak_memory_mb": 70.0,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    return plan.out


def test_the_report_of_an_ablation_is_made_again(ablation, capsys):
    report(ablation)
    shown = capsys.readouterr().out
    assert "1 of 2 runs done" in shown
    assert "0.2500" in shown
    assert "model.x: 1 -> 2" in (ablation / "differences" / "x=2.txt").read_text()
    report(ablation, as_json=True, baseline="x=2", metric="r2")
    found = json.loads(capsys.readouterr().out)
    assert found["baseline"] == "x=2"
    assert found["runs"][0]["reconstruction/r2"] == 0.25
    assert found == json.loads((ablation / "results.json").read_text())


def test_options_of_the_other_kind_of_folder_are_refused(ablation, tmp_path):
    with pytest.raises(ConfigError, match=r"--geojson .*of a cohort"):
        report(ablation, geojson=True)
    with pytest.raises(ConfigError, match=r"--metric .*of an ablation"):
        report(tmp_path, metric="r2")


def test_it_imports_no_torch(ablation):
    code = (
        "import sys; from pathlib import Path; from gigakit.cli.report import report; "
        f"report(Path({str(ablation)!r})); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
