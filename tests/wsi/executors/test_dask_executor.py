"""The dask executor, on a cluster of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gigakit.core.errors import ConfigError
from gigakit.wsi.executors.dask_executor import DaskExecutor

REPOSITORY = Path(__file__).parents[3]


def test_a_worker_that_dies_loses_no_slide(tmp_path):
    pytest.importorskip("distributed", reason="the extra gigakit[cluster] is not installed")
    script = textwrap.dedent(
        f"""
        import json
        from pathlib import Path
        from gigakit.wsi.executors.dask_executor import DaskExecutor
        from gigakit.wsi.pipeline import run_cohort
        from tests.wsi.executors.test_executors import Named, cohort

        if __name__ == "__main__":
            result = run_cohort(
                cohort("a", "bad-1", "dies_once-1", *"bcdefgh"),
                Named(Path({str(tmp_path)!r})),
                executor=DaskExecutor(workers=2),
            )
            print(json.dumps({{slide.slide_id: slide.state for slide in result.slides}}))
        """
    )
    (tmp_path / "run.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    expected = dict.fromkeys(["a", "dies_once-1", *"bcdefgh"], "done") | {"bad-1": "failed"}
    found = json.loads(done.stdout.splitlines()[-1])
    # a result that the dead worker held is asked for again, and found finished
    assert {name: state.replace("skipped", "done") for name, state in found.items()} == expected
    begun = (tmp_path / "log").read_text().splitlines()
    assert begun.count("dies_once-1") == 2
    assert begun.count("bad-1") == 1
    # a slide that waited at the dead worker may begin anew, but what is finished does not
    assert set(begun) == set(expected)


def test_what_is_missing_or_contradicts_itself_is_told(monkeypatch):
    with pytest.raises(ConfigError, match="names a scheduler and a queue"):
        DaskExecutor(scheduler="tcp://host:1", queue="slurm")
    with pytest.raises(ConfigError, match="one of slurm, pbs, lsf, sge"):
        DaskExecutor(queue="torque")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'gigakit\[cluster\]'"):
        DaskExecutor()
