"""The benchmarks of attention and of the slide encoder run, and their ways compute one thing."""

import json
import subprocess
import sys

import pytest


def run(repository, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dilated_attention_is_compared_with_the_same_result(repository, tmp_path):
    figures = tmp_path / "figures.json"
    out = run(
        repository,
        *("tools/bench/dilated_attention.py", "--lengths", "70", "1030", "--turns", "1"),
        *("--json", str(figures)),
    )
    assert out.count("| 1,030 |") == 2
    for result in json.loads(figures.read_text()):
        assert result["largest_difference"] < 2e-6
        assert set(result["forward"]) == {
            *("gigakit", "published", "dense", "local", "linear", "floor")
        }
    # the floor's pairs are those of the variant, but for rows of zeros
    assert result["gflop_forward"] == pytest.approx(result["gflop_floor"], rel=0.01)


def test_the_slide_encoder_is_timed_in_every_way(repository):
    out = run(
        repository,
        *("tools/bench/slide_encoder.py", "--lengths", "40", "--turns", "1", "--depth", "1"),
        *("--longest", "50"),
    )
    for way in ("bf16", "published", "checkpoint", "checkpoint bf16"):
        assert f"| {way} |" in out
    assert "| 50 | forward | gigakit |" in out
