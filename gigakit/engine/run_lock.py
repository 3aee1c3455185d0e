"""One process at a time trains in a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from gigakit.core.errors import WorkDirError

LOGGER = logging.getLogger(__name__)

FILE = ".lock"


@contextlib.contextmanager
def run_lock(work_dir: Path) -> Iterator[None]:
    """Hold a run's folder; two runs in one would remove each other's half-written checkpoints.

    The lock is the kernel's (POSIX, over NFS too) and ends with the process, however it ends;
    loader workers do not inherit it. The file stays, and says who held it last.

    Raises:
        WorkDirError: another process holds the folder.
    """
    with (work_dir / FILE).open("a+", encoding="utf-8") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                LOGGER.warning("%s: locks do not work here (%s)", work_dir, error.strerror)
                yield
                return
            stream.seek(0)
            raise WorkDirError(
                f"is being trained by {stream.read().strip() or 'another process'}",
                where=work_dir,
                fix="wait for its end, or stop it",
            ) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()}\n")
        stream.flush()
        yield
