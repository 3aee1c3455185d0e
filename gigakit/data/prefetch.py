"""Batches made while the one before is computed on."""

from __future__ import annotations

import collections
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_END = object()


@dataclass
class Stopwatch:
    """Seconds that add up."""

    seconds: float = 0.0


def timed(items: Iterator[T], waited: Stopwatch) -> Generator[T]:
    """Yield what an iterator yields, and add the time that each item had to be waited for."""
    while True:
        begin = time.perf_counter()
        item = next(items, _END)
        waited.seconds += time.perf_counter() - begin
        if item is _END:
            return
        yield item  # type: ignore[misc]


def prefetched(batches: Iterator[T], depth: int = 2) -> Generator[T]:
    """Yield what an iterator yields, made by a thread that is ``depth`` items ahead.

    Decoders and resizing leave the interpreter's lock, so that a core works on them meanwhile.
    What the iterator raises is raised where its item would have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        waiting = collections.deque(pool.submit(next, batches, _END) for _ in range(depth))
        while True:
            item = waiting.popleft().result()
            if item is _END:
                return
            waiting.append(pool.submit(next, batches, _END))
            yield item  # type: ignore[misc]
