"""How the C library hands out memory for tensors."""

from __future__ import annotations

import ctypes
import os
from typing import Any

# mallopt's numbers for glibc's settings
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGE_BYTES = 8 * 2**20
# glibc's own
_MMAP_COUNT = 65_536


def return_large_blocks() -> bool:
    """Let freed tensors of 8 MiB and more go back to the system at once, where glibc serves them.

    By itself glibc raises its limit for blocks of their own up to 32 MiB. Tensors below that come
    from a heap with gaps that stay: forward and backward of 3 blocks of the slide encoder at 10,001
    tokens, 31 MB a tensor, need 2.0 GB that way and 1.0 GB this way, in the same time.

    Returns:
        Whether it was set: not where the environment says otherwise by ``MALLOC_MMAP_THRESHOLD_``,
        ``MALLOC_MMAP_MAX_`` or ``MALLOC_TRIM_THRESHOLD_``, nor where the C library has no
        ``mallopt``.
    """
    library = _glibc()
    if library is None:
        return False
    # a limit that is set is not raised any more; smaller blocks keep their heap
    return bool(
        library.mallopt(_MMAP_MAX, _MMAP_COUNT)
        and library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        and library.mallopt(_TRIM_THRESHOLD, 8 * _LARGE_BYTES)
    )


def keep_freed_blocks() -> bool:
    """Let freed tensors of any size serve the next ones, where glibc hands out memory.

    For steps of one shape, which need the same blocks again: the system clears each page it hands
    out anew, which took 4 to 13 % of the time of a step of tile pretraining. Not for batches of
    very unequal shapes: gaps between their tensors add up.

    Returns:
        Whether it was set, as of :func:`return_large_blocks`.
    """
    library = _glibc()
    if library is None:
        return False
    # -1 turns trimming off
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))


def return_kept_blocks() -> None:
    """Give the system back what :func:`keep_freed_blocks` kept, and keep no more."""
    if return_large_blocks():
        ctypes.CDLL(None).malloc_trim(0)


def _glibc() -> Any:
    """Return the C library where it is glibc, and its user has not set how it shall be."""
    library = ctypes.CDLL(None)
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
    if getattr(library, "mallopt", None) is None or any(name in os.environ for name in own):
        return None
    return library
