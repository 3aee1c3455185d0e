"""Leases: one holder, and none that is gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from gigakit.wsi import leases
from gigakit.wsi.leases import Lease


def test_one_holds_it_at_a_time(tmp_path):
    path = tmp_path / "leases" / "a"
    with Lease(path) as first, Lease(path) as second:
        assert first.held
        assert not second.held
        assert second.holder == f"process {os.getpid()} on {socket.gethostname()}"
    assert not path.exists()
    with Lease(path) as third:
        assert third.held
    assert not any(path.parent.iterdir())


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path):
    path = tmp_path / "a"
    script = (
        "import os, sys; from pathlib import Path; from gigakit.wsi.leases import Lease; "
        "Lease(Path(sys.argv[1])).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=False, timeout=60)
    assert path.exists()
    with Lease(path) as lease:
        assert lease.held
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_another_machines_lease_is_stale_after_a_minute_without_a_beat(tmp_path):
    path = tmp_path / "a"
    path.write_text('{"host": "elsewhere", "pid": 1, "began": 1}')
    with Lease(path) as lease:
        assert not lease.held
    long_ago = time.time() - leases.STALE_SECONDS - 5
    os.utime(path, (long_ago, long_ago))
    with Lease(path) as lease:
        assert lease.held
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_claim_that_is_not_written_yet_is_respected_while_fresh(tmp_path, text):
    path = tmp_path / "a"
    path.write_text(text)
    with Lease(path) as lease:
        assert not lease.held
        assert "a machine that does not say" in lease.holder


def test_a_held_lease_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    path = tmp_path / "a"
    with Lease(path):
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 100 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 100
