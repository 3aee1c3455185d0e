"""Rate and time left, on a clock that a test moves."""

import time

import pytest

from gigakit.engine.pace import Pace, clock


@pytest.fixture
def wait(monkeypatch):
    """Return a function that lets time pass."""
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_steps_made_before_a_resume_do_not_count(wait):
    pace = Pace()
    pace.start(500)
    assert pace.seconds_left(500) is None
    for step in range(501, 511):
        wait(2)
        pace.step_done(step)
    assert pace.steps_per_second == pytest.approx(0.5)
    assert pace.seconds_left(490) == pytest.approx(980)


def test_validation_is_left_out_of_the_rate_and_expected_in_what_is_left(wait):
    pace = Pace()
    pace.start(0)
    for step in range(1, 21):
        wait(1)
        pace.step_done(step)
        if step % 10 == 0:
            pace.validation_begins()
            wait(step * 10)
            pace.validation_ends()
    assert pace.steps_per_second == pytest.approx(1)
    # 100 and 200 seconds so far
    assert pace.seconds_left(80, validations=8) == pytest.approx(80 + 8 * 150)


def test_the_rate_is_that_of_the_last_minute(wait):
    pace = Pace()
    pace.start(0)
    for step in range(1, 101):
        wait(1)
        pace.step_done(step)
    for step in range(101, 1101):
        wait(0.1)
        pace.step_done(step)
    assert pace.steps_per_second == pytest.approx(10, rel=0.02)
    assert len(pace._points) < 130


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-:--:--"), (0.4, "0:00:00"), (3599.6, "1:00:00"), (200_000, "2d 7:33:20")],
)
def test_durations_are_written_for_people(seconds, text):
    assert clock(seconds) == text
