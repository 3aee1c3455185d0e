"""Two runs in one folder: the second is refused, a killed one leaves no lock."""

import signal
import time

import pytest
from resuming.processes import Order, start
from resuming.recipes import resolved

from gigakit.core.errors import EXIT_USAGE
from gigakit.engine.checkpoint import find_resume


@pytest.fixture
def values(feature_folder):
    changes = {"features": str(feature_folder), "train_cfg.epochs": 1000}
    changes |= {"train_cfg.max_steps": 1000, "default_hooks.checkpoint.interval_steps": 2}
    return resolved("tiny/slide", changes)


def test_a_second_run_is_refused_until_the_first_is_gone(values, tmp_path):
    folder = tmp_path / "run"

    def order(name, **more):
        return Order(values, folder, tmp_path / name, counts_calls=False, **more)

    # its workers outlive it for a moment, and hold nothing
    values["train_dataloader"]["num_workers"] = 2
    first = start(order("first"))
    deadline = time.monotonic() + 60
    while find_resume(folder) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    second = start(order("second", resume=True))
    assert second.wait() == [EXIT_USAGE]
    assert "is being trained by process" in second.stderr()
    assert first.alive()
    assert not (folder / "result.json").exists()
    first.signal(signal.SIGKILL)
    assert first.wait() == [-signal.SIGKILL]
    values["train_cfg"]["max_steps"] = 1
    start(order("third", resume=True)).finish()
