"""Freed memory goes back to the system, also from between blocks that stay."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from gigakit.core.heap import return_large_blocks

def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096 / 2**20

if sys.argv[1] == "set":
    assert return_large_blocks()
# what makes glibc raise its limit
for _ in range(3):
    np.ones(31 * 2**17)
before = resident()
blocks = [np.ones(12 * 2**17) for _ in range(40)]
del blocks[::2]
print(resident() - before)
"""


def grown(how):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(done.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="the C library is not glibc",
)
def test_gaps_between_blocks_are_returned():
    # 20 of 40 blocks of 12 MiB stay
    assert grown("set") < 250
    assert grown("by itself") > 400


def test_the_users_own_setting_stands(monkeypatch):
    from gigakit.core.heap import return_large_blocks

    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    assert not return_large_blocks()


def test_another_c_library_is_left_alone(monkeypatch):
    from gigakit.core.heap import return_large_blocks

    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not return_large_blocks()
