"""Help is quick, imports nothing heavy, and errors are one line with the right exit code."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from gigakit import __version__
from gigakit.cli import app
from gigakit.core.errors import SomeSlidesFailedError

COMMANDS = (
    "train",
    "test",
    "heatmap",
    "embeddings",
    "ablate",
    "tile",
    "embed",
    "probe",
    "evaluate",
    "compare",
    "sample",
    "list",
    "config",
    "doctor",
    "new",
)
LIGHT = (
    ("--help",),
    ("--version",),
    ("list",),
    ("list", "attention", "DilatedAttention"),
    ("config", "check", "gigapath_slide"),
    ("config", "show", "gigapath_slide"),
    ("config", "tree", "gigapath_slide"),
    ("list", "axis"),
    ("new", "--help"),
    ("train", "--help"),
    ("test", "--help"),
    ("heatmap", "--help"),
    ("embeddings", "nearest", "--help"),
    ("ablate", "--help"),
    ("probe", "--help"),
    ("evaluate", "--help"),
    ("compare", "--help"),
)


def test_help_names_every_command_in_one_line_of_a_panel(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    for panel in ("Slides and tiles", "Training", "Evaluation", "Configs and components"):
        assert any(line.startswith(f"╭─ {panel} ") for line in lines)
    begun = [re.match(r"│ ([a-z]+) +\S", line) for line in lines]
    assert {match[1] for match in begun if match} >= set(COMMANDS)
    # a line that goes on has an empty first column
    panels = lines[next(i for i, line in enumerate(lines) if "Slides and tiles" in line) :]
    assert not any(re.match(r"│ {8}", line) for line in panels)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert "Usage" in out


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_nothing_heavy_is_imported(arguments):
    code = (
        "import sys; from gigakit.cli.app import main\n"
        "try: main(sys.argv[1:] and [])\n"
        "except SystemExit as stop:\n"
        "    heavy = {'torch', 'mmengine', 'numpy', 'cv2', 'openslide'} & set(sys.modules)\n"
        "    sys.exit(f'{stop.code} {heavy}' if heavy or stop.code else 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout


@pytest.mark.parametrize(("arguments", "most"), [(("--help",), 350), (("ablate", "--help"), 450)])
def test_help_loads_few_modules(arguments, most):
    """What its time is made of: modules of ours and of others beyond those of Python itself."""
    code = (
        "import sys; before = len(sys.modules)\n"
        "from gigakit.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: print(len(sys.modules) - before, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stderr) < most


def test_version(call):
    assert call("--version") == (0, f"gigakit {__version__}\n", "")


def test_an_error_is_one_line_and_exit_code_2(gigakit):
    run = gigakit("list", "attentoin")
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == (
        "error: gigakit list: 'attentoin' is no kind of component; did you mean 'attention'?\n"
    )


@pytest.mark.parametrize("arguments", [("--debug", "list", "x"), ("list", "x", "--debug")])
def test_debug_shows_the_traceback(call, arguments):
    code, _, err = call(*arguments)
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: ")


def test_an_unknown_command_or_option_is_a_usage_error(call):
    code, _, err = call("trainn")
    assert code == 2
    assert "train" in err
    assert call("list", "--jason")[0] == 2


class _App:
    """Stands in for the application, to fail in a chosen way."""

    def __init__(self, error):
        self.error = error

    def __call__(self, **_):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SomeSlidesFailedError("2 of 3 failed", where="a"), 3, "error: a: 2 of 3 failed\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (OSError(28, "No space left on device", "/x"), 1, "error: /x: No space left on device\n"),
        (ImportError("libGL.so.1: cannot open"), 1, "opencv-python-headless=="),
    ],
)
def test_exit_codes(call, monkeypatch, error, code, line):
    monkeypatch.setattr(app, "build_app", lambda _: _App(error))
    found, _, err = call("x")
    assert found == code
    assert line in err


def test_a_bug_is_not_dressed_as_a_user_error(monkeypatch):
    monkeypatch.setattr(app, "build_app", lambda _: _App(RuntimeError("bug")))
    monkeypatch.setattr(sys, "argv", ["gigakit"])
    with pytest.raises(RuntimeError, match="bug"):
        app.main()


def test_an_interrupt_inside_a_command_is_130(call, monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    application = typer.Typer()
    application.command()(interrupted)
    monkeypatch.setattr(app, "build_app", lambda _: application)
    assert call()[0] == 130


def test_a_prefix_is_put_before_the_arguments(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "attention"])
    with pytest.raises(SystemExit):
        app.main(["list"])
    assert "DilatedAttention" in capsys.readouterr().out
