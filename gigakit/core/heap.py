"""How the C library hands out memory for tensors."""

from __future__ import annotations

import ctypes
import os

# mallopt's numbers for glibc's settings
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 8 * 2**20


def return_large_blocks() -> bool:
    """Let freed tensors of 8 MiB and more go back to the system at once, where glibc serves them.

    By itself glibc raises its limit for blocks of their own up to 32 MiB. Tensors below that come
    from a heap with gaps that stay: forward and backward of 3 blocks of the slide encoder at 10,001
    tokens, 31 MB a tensor, need 2.0 GB that way and 1.0 GB this way, in the same time.

    Returns:
        Whether it was set: not where ``MALLOC_MMAP_THRESHOLD_`` says otherwise, nor where the C
        library has no ``mallopt``.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    # a limit that is set is not raised any more; smaller blocks keep their heap
    return bool(
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_TRIM_THRESHOLD, 8 * _LARGE_BYTES)
    )
