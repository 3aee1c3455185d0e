"""What the screen shows on a terminal."""

import io

import pytest
from rich.console import Console

from gigakit.engine.runners import gigakit_runner
from gigakit.engine.train import train


@pytest.fixture
def terminal(monkeypatch):
    """Replace the screen by a terminal of 80 columns, and return what it receives."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(gigakit_runner, "Console", lambda **_: console)
    return stream


def test_one_bar_with_step_loss_rate_and_skipped_steps(toy, tmp_path, terminal):
    train(toy.config(train_dataloader__dataset__bad_draws=[20]), work_dir=tmp_path)
    shown = terminal.getvalue()
    last = [line for line in shown.splitlines() if "25/25" in line][-1]
    for word in ("step", "loss", "lr", "steps/s", "skipped 1", "0:00:00"):
        assert word in last
    assert "step 5/25" not in shown
    # draw 20 is the third of the step's batch
    told = "warning: step 7 is skipped, 1 so far: rank 0, draws 18, 19, 20: loss nan"
    assert f"{told}; gradient norm nan, first in" in shown
