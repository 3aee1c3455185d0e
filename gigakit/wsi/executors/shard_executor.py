"""One job of many: a fixed part of a cohort, chosen without any of the others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from gigakit.core.errors import ConfigError
from gigakit.registry import EXECUTORS
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.executors.local_executor import LocalExecutor


@EXECUTORS.register_module()
class ShardExecutor(LocalExecutor):
    """Work on every slide whose name's hash falls to this job.

    Job arrays need nothing else: each job runs the same command, and runs it again after a failure.

    Args:
        shard: ``i/n``, i from 0 to n - 1; ``None`` reads SLURM's job array (its smallest index
            counts as 0).
        workers: processes; 0 works in this one.
        time_limit: seconds a slide may take; see :class:`LocalExecutor`.

    Raises:
        ConfigError: no such part, or none named outside of a job array.
    """

    def __init__(
        self, *, shard: str | None = None, workers: int = 0, time_limit: float | None = None
    ) -> None:
        super().__init__(workers=workers, time_limit=time_limit)
        self.index, self.count = _parsed(shard) if shard else _job_array()

    @property
    def part(self) -> str:
        """The part's name; see :attr:`Executor.part`."""
        return f"{self.index}-of-{self.count}"

    def select(self, rows: Sequence[SlideRow]) -> Sequence[SlideRow]:
        """Return this part's slides; the others' parts hold the rest, and none is in two."""
        return [row for row in rows if _hash(row.slide_id) % self.count == self.index]


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _parsed(shard: str) -> tuple[int, int]:
    first, _, second = shard.partition("/")
    if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise ConfigError(
            f"got '{shard}'", where="--shard", fix="give i/n with i from 0 to n - 1, such as 0/10"
        )
    return int(first), int(second)


def _job_array() -> tuple[int, int]:
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    told = [os.environ.get(name, "") for name in names]
    if not all(text.isdecimal() for text in told):
        raise ConfigError(
            "no part is named, and this is no SLURM job array",
            where="--executor shard",
            fix="add --shard i/n",
        )
    index, least, count = map(int, told)
    if not 0 <= index - least < count:
        raise ConfigError(
            f"its indices are not {least} to {least + count - 1}",
            where="SLURM_ARRAY_TASK_ID",
            fix="use an array without gaps, or --shard i/n",
        )
    return index - least, count
