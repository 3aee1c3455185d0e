"""What the screen shows on a terminal, and what a file gets."""

import io
import types

import pytest
from rich.console import Console

from gigakit.engine.hooks.progress_hook import _validations_left
from gigakit.engine.runners import gigakit_runner
from gigakit.engine.train import train


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes the screen a terminal, and returns what it receives."""

    def replace(width=80):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=True, width=width, color_system=None)
        monkeypatch.setattr(gigakit_runner, "Console", lambda **_: console)
        return stream

    return replace


def test_one_bar_with_step_loss_rate_and_skipped_steps(toy, tmp_path, terminal):
    stream = terminal()
    train(toy.config(train_dataloader__dataset__bad_draws=[20]), work_dir=tmp_path)
    shown = stream.getvalue()
    last = [line for line in shown.splitlines() if "25/25" in line][-1]
    for word in ("step", "loss", "lr", "steps/s", "skipped 1", "0:00:00 left"):
        assert word in last
    assert "step 5/25" not in shown
    # draw 20 is the third of the step's batch
    told = "warning: step 7 is skipped, 1 so far: rank 0, draws 18, 19, 20: loss nan"
    assert f"{told}; gradient norm nan, first in" in shown


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_the_bar_is_one_row_whatever_the_width(toy, tmp_path, terminal, width):
    stream = terminal(width)
    train(toy.config(train_cfg__max_steps=3), work_dir=tmp_path)
    rows = [row for row in stream.getvalue().split("\n") if "step 3/3" in row]
    last = rows[-1].rpartition("\r")[2].rpartition("\x1b[2K")[2]
    assert last.startswith("step 3/3  loss")
    assert len(last.rstrip()) <= width
    assert ("━" in last) == (width >= 80)
    assert width > 30 or last.rstrip().endswith("…")


def test_a_file_gets_one_line_an_interval(toy, tmp_path, capfd):
    train(toy.config(train_cfg__val_interval_steps=10), work_dir=tmp_path)
    lines = capfd.readouterr().err.splitlines()
    steps = [line.split()[1] for line in lines if line.startswith("step ")]
    assert steps == ["1/25", "5/25", "10/25", "15/25", "20/25", "25/25"]
    assert all(line.endswith("left") for line in lines if line.startswith("step "))
    assert [line.split()[3] for line in lines if line.startswith("validation")] == [
        "10",
        "20",
        "25",
    ]


@pytest.mark.parametrize("interval", [None, 1, 4, 5, 25, 30])
@pytest.mark.parametrize("at_end", [True, False])
def test_validations_to_come_are_counted(interval, at_end):
    loop = types.SimpleNamespace(max_iters=25, val_interval_steps=interval, val_at_end=at_end)
    runner = types.SimpleNamespace(train_loop=loop, val_loop=object())
    for step in range(25):
        planned = {at for at in range(1, 26) if interval and at % interval == 0}
        planned |= {25} if at_end else set()
        assert _validations_left(runner, step) == sum(at > step for at in planned)
