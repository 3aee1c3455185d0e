"""Work on slides that does what its slide's name says; importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from gigakit.core.errors import SlideError
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.work import SlideResult, SlideWork


@dataclass(frozen=True)
class Named(SlideWork):
    """Writes a line to ``log`` for each slide that it begins, then behaves as the name says."""

    folder: Path
    done: str = "worked on"

    def finished(self, row: SlideRow) -> SlideResult | None:
        if (self.folder / row.slide_id).exists():
            return SlideResult(row.slide_id, "skipped", 1)
        return None

    def work(self, row: SlideRow) -> SlideResult:
        with (self.folder / "log").open("a") as stream:
            stream.write(f"{row.slide_id}\n")
        begun = (self.folder / "log").read_text().splitlines().count(row.slide_id)
        kind = row.slide_id.partition("-")[0]
        if kind == "bad":
            raise SlideError("is bad", where=row.path)
        if kind == "hangs":
            time.sleep(60)
        if kind == "dies" or (kind == "dies_once" and begun == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "slow":
            time.sleep(1.5)
        if kind == "stale" and begun < 3:
            raise OSError(116, "Stale file handle", str(row.path))
        if kind == "full":
            raise OSError(28, "No space left on device", str(self.folder / "x"))
        (self.folder / row.slide_id).write_text(str(os.getpid()))
        return SlideResult(row.slide_id, "done", 1)
