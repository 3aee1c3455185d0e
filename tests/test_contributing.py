"""CONTRIBUTING's way to add an attention variant, followed literally in a copy of the sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

STEP = re.compile(r"^\d\. `([^`]+\.py)`.*?```python\n(.*?)```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def copy(repository, tmp_path_factory):
    target = tmp_path_factory.mktemp("clone")
    for name in ("gigakit", "registry_configs", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, target / name, ignore=ignored)
    shutil.copy(repository / "pyproject.toml", target)
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = STEP.findall(text)
    assert [path for path, _ in steps] == [
        "gigakit/nn/attention/mine.py",
        "tests/nn/attention/test_mine.py",
    ]
    for path, code in steps:
        lines = code.split("\n")
        (target / path).write_text("\n".join(line.removeprefix("   ") for line in lines))
    return target


def run(copy, *command):
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_its_test_passes(copy):
    assert " passed" in run(copy, "-m", "pytest", "tests/nn/attention/test_mine.py")


def test_its_ablation_gives_a_table(copy, feature_folder):
    table = run(
        copy, "-m", "gigakit", "ablate", "tiny/slide", "--attention", "dilated,MyAttention",
        "--set", f"features={feature_folder}", "--set", "train_cfg.max_steps=2",
    )  # fmt: skip
    assert "attention=MyAttention" in table
    assert "nearest visible tile" in table


def test_it_is_listed(copy):
    assert "MyAttention" in run(copy, "-m", "gigakit", "list", "attention")
