"""Signals that ask a run to stop."""

import os
import signal

import pytest

from gigakit.engine import signals
from gigakit.engine.signals import StopSignals, exit_code


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGUSR1, 138),
        (signal.SIGUSR2, 140),
    ],
)
def test_the_first_is_noted_and_gives_the_exit_code(number, code):
    before = signal.getsignal(number)
    with StopSignals() as stop:
        assert stop.received is None
        send(number)
        assert stop.received is number
        assert stop.exit_code == exit_code(number) == code
    assert signal.getsignal(number) is before


def test_a_second_one_acts_at_once_whichever_it_is():
    with StopSignals() as stop:
        send(signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        assert stop.received is signal.SIGUSR1


@pytest.mark.parametrize("launcher", ["TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"])
def test_what_a_launcher_repeats_counts_once(monkeypatch, launcher):
    monkeypatch.setenv(launcher, "1")
    now = iter([100.0, 101.9, 102.1])
    monkeypatch.setattr(signals.time, "monotonic", lambda: next(now))
    with StopSignals() as stop:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
