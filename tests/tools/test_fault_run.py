"""The fault run, small: faults happen, and its verdict finds nothing lost."""

import json
import subprocess
import sys


def test_nothing_is_lost_or_done_twice(repository, tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, "tools/bench/fault_run.py", tmp_path, "--slides", "120"),
            *("--kill-every", "0.7", "--port", "8797", "--json", figures),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert found["killed workers"]["command killed"]
    assert found["scheduler restart"]["exit"] == 1
    assert "what is finished stays" in found["scheduler restart"]["said"]
    assert found["scheduler restart"]["again: exit"] == 3
    verdict = found["verdict"]
    assert verdict["lost or wrong"] == []
    assert verdict["written twice"] == []
    assert verdict["rows"] == 120
