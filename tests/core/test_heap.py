"""Freed memory goes back to the system, or serves the next tensors, as it is asked for."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from gigakit.core.heap import keep_freed_blocks, return_large_blocks

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


KEEPING = """
import resource
import numpy as np
from gigakit.core.heap import keep_freed_blocks, return_kept_blocks

def pages_cleared(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        # blocks of 8, 24 and 64 MiB, as one step after another has them
        blocks = [np.ones(size * 2**17) for size in (8, 24, 64)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096 / 2**20

assert keep_freed_blocks()
pages_cleared(1)
kept = resident()
again = pages_cleared(5)
return_kept_blocks()
print(again, kept - resident(), pages_cleared(5))
"""


def of_process(script, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return [float(value) for value in done.stdout.split()]


glibc_only = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="the C library is not glibc",
)


@glibc_only
def test_gaps_between_blocks_are_returned():
    # 20 of 40 blocks of 12 MiB stay
    assert of_process(SCRIPT, "set")[0] < 250
    assert of_process(SCRIPT, "by itself")[0] > 400


@glibc_only
def test_kept_blocks_serve_again_and_are_given_back_at_the_end():
    again, given_back, afterwards = of_process(KEEPING)
    assert again < 100
    assert given_back > 80
    # five times 96 MiB: 122,880 pages of 4 KiB, or fewer and larger ones
    assert afterwards > 1_000


@pytest.mark.parametrize("choose", [return_large_blocks, keep_freed_blocks])
@pytest.mark.parametrize(
    "name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"]
)
def test_the_users_own_setting_stands(monkeypatch, choose, name):
    monkeypatch.setenv(name, "65536")
    assert not choose()


@pytest.mark.parametrize("choose", [return_large_blocks, keep_freed_blocks])
def test_another_c_library_is_left_alone(monkeypatch, choose):
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not choose()
