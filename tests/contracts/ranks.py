"""Gloo processes that do what a test asks: two for one task, or four started once."""

from __future__ import annotations

import contextlib
import datetime
import socket
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

# its defaults keep the group that exists when it is first imported, and its threads
import torch.distributed.nn.functional
from resuming.processes import CONTEXT

RANKS = 4
PATIENCE_S = 120


def exchange_threads():
    """Return the names of this process's threads that exchange tensors."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return sorted(name for name in names if "gloo" in name or "tcpstore" in name)


def _join(rank, work, folder, arguments):
    try:
        torch.set_num_threads(1)
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
        )
        work(rank, *arguments)
        if dist.is_initialized():
            dist.destroy_process_group()
        # one that meets the interpreter's end may abort the process
        assert not exchange_threads()
    except BaseException:  # whatever fails is told to the test
        (folder / f"failure-{rank}").write_text(traceback.format_exc())
        raise


def in_two_processes(work, folder, *arguments):
    """Have two joined processes call ``work(rank, *arguments)``; what fails is told."""
    ranks = [
        CONTEXT.Process(target=_join, args=(rank, work, folder, arguments), daemon=True)
        for rank in (0, 1)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(PATIENCE_S)
    told = [path.read_text() for path in sorted(folder.glob("failure-*"))]
    assert ([process.exitcode for process in ranks], told) == ([0, 0], [])


def serve(rank, port, pipe):
    """Join four processes and do what is asked."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=RANKS,
        timeout=datetime.timedelta(seconds=PATIENCE_S),
    )
    pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    groups = {4: dist.group.WORLD, 2: pairs[rank // 2]}
    while True:
        work, arguments = pipe.recv()
        try:
            pipe.send((work(groups, **arguments), ""))
        except Exception:  # whatever fails is told to the test
            pipe.send((None, traceback.format_exc()))


@contextlib.contextmanager
def four_processes():
    """Yield a function that has four processes do the same work and returns their results."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipes = [CONTEXT.Pipe() for _ in range(RANKS)]
    processes = [
        CONTEXT.Process(target=serve, args=(rank, port, pipe[1]), daemon=True)
        for rank, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()

    def ask(work, **arguments):
        for pipe, _ in pipes:
            pipe.send((work, arguments))
        found = []
        for rank, (pipe, _) in enumerate(pipes):
            assert pipe.poll(PATIENCE_S), f"rank {rank} does not answer"
            value, failure = pipe.recv()
            assert not failure, failure
            found.append(value)
        return found

    yield ask
    for process in processes:
        process.kill()
        process.join()
