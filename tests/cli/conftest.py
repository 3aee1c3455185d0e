"""The command line as users run it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture
def gigakit():
    """Return a function that runs the command in a process of its own."""

    def run(*arguments, cwd=None):
        command = [sys.executable, "-m", "gigakit", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)

    return run


@pytest.fixture
def call(monkeypatch, capsys):
    """Return a function that runs the command in this process: its exit code, output and errors."""
    from gigakit.cli.app import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gigakit", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run
