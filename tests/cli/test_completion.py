"""What a shell is offered; asked as the shells' own scripts ask."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from gigakit.ablation.axes import recipe_axes
from gigakit.cli.completion import axis_completion, completed_words
from gigakit.config import load_config


@pytest.fixture
def offered(call, monkeypatch):
    """Return what bash is offered for the last word of a line."""

    def ask(line):
        words = line.split(" ")
        monkeypatch.setenv("_GIGAKIT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        code, out, err = call()
        assert (code, err) == (0, "")
        return out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gigakit tr", ["train"]),
        ("gigakit config sh", ["show"]),
        ("gigakit train gigapath_s", ["gigapath_slide"]),
        ("gigakit config diff tiny/slide tiny/t", ["tiny/tile"]),
        ("gigakit list att", ["attention"]),
        ("gigakit list ax", ["axis"]),
        ("gigakit list attention Dil", ["DilatedAttention"]),
        ("gigakit list encoder gigapa", ["gigapath"]),
        ("gigakit list axis tiny/t", ["tiny/tile"]),
        ("gigakit train tiny/slide --set model.mask", ["model.mask_ratio="]),
        ("gigakit train tiny/slide --set model.mask_ratio=", []),
        (
            "gigakit train tiny/tile --set model.losses.1",
            ["model.losses.1.type=", "model.losses.1.weight="],
        ),
        ("gigakit tile slides.csv --set preparation.tiler.ty", ["preparation.tiler.type="]),
        ("gigakit ablate tiny/slide --mask-", ["--mask-ratio"]),
        ("gigakit ablate gigapath_tile --temp", []),
        ("gigakit ablate tiny/slide --attention dilated,l", ["dilated,local", "dilated,linear"]),
        ("gigakit ablate tile_small_simclr --temp", ["--temperature"]),
    ],
)
def test_offers(offered, line, expected):
    assert offered(line) == expected


def test_values_of_an_axis_are_offered_one_by_one():
    axis = recipe_axes(load_config("tiny/slide").values)["attention"]
    offer = functools.partial(list, axis_completion(axis)(""))
    labels = [label for label, _ in offer()]
    assert labels[:2] == ["dilated", "flash"]
    assert "DilatedAttention" in labels
    assert [label for label, _ in axis_completion(axis)("dilated,l")] == [
        "dilated,local",
        "dilated,linear",
    ]
    assert "dilated,dilated" not in [label for label, _ in axis_completion(axis)("dilated,")]


def test_words_of_a_line_that_is_not_finished(monkeypatch):
    monkeypatch.delenv("_GIGAKIT_COMPLETE", raising=False)
    assert completed_words() is None
    monkeypatch.setenv("_GIGAKIT_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "gigakit ablate x --set 'a=b c")
    assert completed_words() == ["ablate", "x", "--set", "'a=b", "c"]


def test_a_shells_script_is_shown(call, monkeypatch):
    # a test may run without a shell above it
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    code, out, _ = call("--show-completion")
    assert code == 0
    assert "_GIGAKIT_COMPLETE=complete_bash" in out


def test_completion_imports_nothing_heavy():
    code = (
        "import os, sys\n"
        "os.environ |= {'_GIGAKIT_COMPLETE': 'complete_bash', 'COMP_CWORD': '3',\n"
        "               'COMP_WORDS': 'gigakit list attention D'}\n"
        "sys.argv = ['gigakit']\n"
        "from gigakit.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: sys.exit(bool({'torch', 'mmengine', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "DilatedAttention")
