"""What is embedded of a slide so far, kept on disk so that an interruption costs little."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gigakit.core.files import digest8, write_text

# an interruption costs so much work at most, and memory stays within so much
SAVE_SECONDS = 30.0
_SAVE_BYTES = 32 * 2**20
_CHUNK_ROWS = 16_384


class PartialFeatures:
    """The embeddings ``(N, D)`` of a slide's first N tiles, as float16.

    Args:
        folder: where they are kept.
        slide_id: the slide.
        identity: JSON-like facts that decide the embeddings; what was kept under others is dropped.

    Attributes:
        count: tiles that are embedded.
        bad: their indices that could not be read.
    """

    def __init__(self, folder: Path, slide_id: str, identity: object) -> None:
        self._data = folder / f"{slide_id}.f16"
        self._state = folder / f"{slide_id}.json"
        self._identity = digest8(identity)
        self._pending: list[np.ndarray] = []
        self._saved = self._width = 0
        self.bad: list[int] = []
        self._last = time.monotonic()
        self._load()
        self.count = self._saved

    def append(self, features: np.ndarray, bad: np.ndarray) -> None:
        """Take the next embeddings ``(B, D)`` float16, and which of them are of bad tiles."""
        self.bad += (self.count + np.flatnonzero(bad)).tolist()
        self._pending.append(features)
        self._width = features.shape[1]
        self.count += len(features)
        size = sum(part.nbytes for part in self._pending)
        if size > _SAVE_BYTES or time.monotonic() - self._last > SAVE_SECONDS:
            self._save()

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield all embeddings in order, some at a time."""
        if self._saved:
            stored = np.memmap(
                self._data, dtype=np.float16, mode="r", shape=(self._saved, self._width)
            )
            for begin in range(0, self._saved, _CHUNK_ROWS):
                yield np.asarray(stored[begin : begin + _CHUNK_ROWS])
        yield from self._pending

    def remove(self) -> None:
        """Remove what is kept."""
        self._data.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        # those of other slides may be in it
        with contextlib.suppress(OSError):
            self._data.parent.rmdir()

    def _save(self) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with self._data.open("r+b" if self._saved else "wb") as stream:
            # what an interruption left beyond the last state is overwritten
            stream.seek(self._saved * self._width * 2)
            for part in self._pending:
                stream.write(part.tobytes())
            stream.flush()
            os.fsync(stream.fileno())
        self._saved, self._pending = self.count, []
        state = {
            "identity": self._identity,
            "count": self._saved,
            "width": self._width,
            "bad": self.bad,
        }
        write_text(self._state, json.dumps(state))
        self._last = time.monotonic()

    def _load(self) -> None:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            size = self._data.stat().st_size
            whole = size >= state["count"] * state["width"] * 2
            if state["identity"] != self._identity or not whole:
                return
            self._saved, self._width, self.bad = state["count"], state["width"], state["bad"]
        except (OSError, ValueError, KeyError, TypeError):
            # nothing is kept, or nothing that can be used: the slide begins anew
            return
