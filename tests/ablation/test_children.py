"""Child processes side by side: how many at a time, how they end, and what signals do."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from gigakit.ablation.children import Children, Task
from gigakit.core.errors import ConfigError

# asks to stop once: writes a mark and ends; twice: ends at once
PATIENT = """
import pathlib, signal, sys, time
count = 0
def stop(number, frame):
    global count
    count += 1
    if count == 2:
        sys.exit(9)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
mark = pathlib.Path(sys.argv[1])
mark.touch()
while not count:
    time.sleep(0.01)
if sys.argv[2] == "writes":
    mark.with_suffix(".saved").touch()
    sys.exit(130)
time.sleep(60)
"""


def python(code, *arguments, **options):
    return Task([sys.executable, "-S", "-c", code, *map(str, arguments)], **options)


def run(tasks, slots=1, *, started=None, on_signal=lambda *_: None):
    children = Children(on_signal)
    begun = [] if started is None else started
    ended = list(children.run([lambda _, task=task: task for task in tasks], slots, begun.append))
    return children, {end.number: end.code for end in ended}


def test_a_crash_stops_no_other(tmp_path):
    tasks = [
        python("import sys; sys.exit(3)"),
        python("import os; os.kill(os.getpid(), 9)"),
        python(""),
    ]
    assert run(tasks)[1] == {0: 3, 1: -9, 2: 0}


def test_no_more_run_at_a_time_than_there_are_slots(tmp_path):
    code = "import time, sys, pathlib; p = pathlib.Path(sys.argv[1]); p.touch(); "
    code += "time.sleep(0.2); p.unlink()"
    at_once = []

    def task(number):
        def make(slot):
            at_once.append(len(list(tmp_path.iterdir())))
            return python(code, tmp_path / str(slot))

        return make

    ended = list(Children(lambda *_: None).run([task(n) for n in range(5)], 2, lambda _: None))
    assert sorted(end.number for end in ended) == list(range(5))
    assert max(at_once) <= 1


def test_output_and_environment_are_the_tasks_own(tmp_path):
    code = "import os, sys; print(os.environ['SLOT']); print('error: x', file=sys.stderr)"
    output = tmp_path / "output.log"
    run([python(code, output=output, environment={"SLOT": "7"})])
    assert sorted(output.read_text().splitlines()) == ["7", "error: x"]
    assert "SLOT" not in os.environ


def _press(folder, count, number):
    """Send this process a signal when so many children are ready; called as they start."""

    def watch(*_):
        if len(list(folder.glob("*.ready"))) >= count:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGALRM, watch)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)


@pytest.fixture(autouse=True)
def _handlers():
    # nohup, under which the tests may run, ignores SIGHUP
    before = {signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_all_that_run_and_nothing_is_started_any_more(tmp_path, number):
    tasks = [python(PATIENT, tmp_path / f"{n}.ready", "writes") for n in range(3)]
    told, started = [], []
    _press(tmp_path, 2, number)
    before = signal.getsignal(number)
    children, codes = run(tasks, 2, started=started, on_signal=lambda *what: told.append(what))
    assert codes == {0: 130, 1: 130}
    assert started == [0, 1]
    assert len(list(tmp_path.glob("*.saved"))) == 2
    sent = signal.SIGTERM if number == signal.SIGHUP else number
    assert (children.received, told) == (sent, [(sent, 2)])
    assert signal.getsignal(number) == before


def test_a_second_signal_stops_at_once(tmp_path):
    def again(*_):
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 0.1)

    _press(tmp_path, 1, signal.SIGINT)
    begin = time.monotonic()
    _, codes = run([python(PATIENT, tmp_path / "0.ready", "hangs")], on_signal=again)
    assert codes == {0: 9}
    assert time.monotonic() - begin < 30


def test_nohup_is_respected(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = "import os, signal; os.kill(os.getppid(), signal.SIGHUP)"
        children, codes = run([python(code), python("")])
        assert (children.received, codes) == (None, {0: 0, 1: 0})
    finally:
        signal.signal(signal.SIGHUP, before)


def test_slots_share_cores_and_gpus(monkeypatch):
    from gigakit.ablation import slots

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(slots, "cores", lambda: 8)
    assert slots.make_slots(None) == [{}]
    assert slots.make_slots(3) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert "each on 2 threads of 8 cores" in slots.describe_slots(slots.make_slots(3))
    assert slots.make_slots(None, ["0", "1"]) == [
        {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "0"},
        {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "1"},
    ]
    dealt = [slot["CUDA_VISIBLE_DEVICES"] for slot in slots.make_slots(3, ["0", "1"])]
    assert dealt == ["0", "1", "0"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert slots.make_slots(2) == [{}, {}]
    assert "(5)" in slots.describe_slots(slots.make_slots(2))
    for jobs, gpus in ((0, []), (1, ["0", "1"]), (2, ["0", "0"])):
        with pytest.raises(ConfigError):
            slots.make_slots(jobs, gpus)
