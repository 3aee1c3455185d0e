"""Leases: one run at a time works on a slide, whatever machine it runs on."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Self

LOGGER = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
# without a beat for so long, the holder is gone
STALE_SECONDS = 60.0


class Lease:
    """A file that exists while a process works on a slide; its time of change is the heartbeat.

    It is created exclusively, touched every 10 s by a thread, and removed at the end. A lease of a
    process that died on this machine is taken over at once, any other after 60 s without a beat,
    by the clock of the file server. Two runs that take over the same lease at the same moment may
    both work; files appear whole, so that costs time alone.

    Args:
        path: the lease's file.

    Attributes:
        held: whether this process has it.
        holder: who has it otherwise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False
        self.holder = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Take the lease if it is free or its holder is gone."""
        self.held = self._create() or (self._clear_stale() and self._create())
        if self.held:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        claim = {"host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid())}
        try:
            handle = self._open()
        except FileExistsError:
            return False
        except FileNotFoundError:
            # a run that just ended has removed the empty folder
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._create()
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(claim, stream)
        return True

    def _open(self) -> int:
        return os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)

    def _clear_stale(self) -> bool:
        """Remove a lease whose holder is gone; ``True`` if the way is free."""
        try:
            claim = self.path.read_text(encoding="utf-8")
            age = self._server_time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        if not _is_dead(claim) and age < STALE_SECONDS:
            self.holder = _name(claim)
            return False
        aside = self.path.with_name(f".{uuid.uuid4().hex}.stale")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return True
        taken = aside.read_text(encoding="utf-8")
        aside.unlink()
        if taken == claim:
            LOGGER.info("%s: the lease of %s is taken over", self.path.name, _name(claim))
        return True

    def _server_time(self) -> float:
        """Return the file server's time, which may differ from this machine's."""
        probe = self.path.with_name(f".{uuid.uuid4().hex}.time")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                os.utime(self.path)
            except OSError as error:
                # the work goes on: at worst another run does it too
                LOGGER.warning("%s: the lease cannot be renewed: %s", self.path, error.strerror)
                return


def _parsed(claim: str) -> dict[str, object]:
    try:
        found = json.loads(claim)
    except ValueError:
        # its holder has created it and not written yet, or died between
        return {}
    return found if isinstance(found, dict) else {}


def _is_dead(claim: str) -> bool:
    """Return whether the holder was a process of this machine that is no more."""
    found = _parsed(claim)
    pid = found.get("pid")
    if found.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    return _began(pid) != found.get("began")


def _began(pid: int) -> int | None:
    """Return when a process began, in the kernel's ticks; ``None`` if there is none."""
    try:
        # its name, in parentheses, may hold spaces
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(facts[19])


def _name(claim: str) -> str:
    found = _parsed(claim)
    return f"process {found.get('pid', '?')} on {found.get('host', 'a machine that does not say')}"
