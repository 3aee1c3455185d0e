"""Options of the commands that work on cohorts: where the work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gigakit.wsi.executor import Executor

ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor", help="local, shard (one job of an array), dask, or a component's name."
    ),
]
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Work on part I of N, from 0; for job arrays."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", help="Seconds a slide may take before it is given up."),
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Address of a dask scheduler, such as tcp://host:8786."),
]

_NAMES = {"local": "LocalExecutor", "shard": "ShardExecutor", "dask": "DaskExecutor"}


def build_executor(
    name: str,
    *,
    shard: str | None,
    workers: int | None,
    time_limit: float | None,
    scheduler: str | None = None,
) -> Executor:
    """Return the executor that a command's options name.

    Raises:
        ConfigError: an option does not go with the executor.
    """
    from gigakit.core.errors import ConfigError
    from gigakit.registry import EXECUTORS

    if shard and name == "local":
        name = "shard"
    config: dict[str, Any] = {"type": _NAMES.get(name, name)}
    given = {
        "workers": workers, "time_limit": time_limit, "shard": shard, "scheduler": scheduler,
    }  # fmt: skip
    if shard and name != "shard":
        raise ConfigError(f"--executor is {name}", where="--shard", fix="leave one of them out")
    if scheduler and name != "dask":
        raise ConfigError(f"--executor is {name}", where="--scheduler", fix="add --executor dask")
    config.update({key: value for key, value in given.items() if value is not None})
    executor: Executor = EXECUTORS.build(config)
    return executor
