"""Processes that work one for all, and decide together."""

from __future__ import annotations

import importlib
import os
import socket
from pathlib import Path

import pytest
import torch
from contracts.ranks import exchange_threads
from resuming.processes import CONTEXT
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from gigakit.core.errors import OtherProcessError, StoreError
from gigakit.engine import processes


def test_a_process_alone_agrees_with_itself():
    assert (processes.rank(), processes.world_size(), processes.is_first()) == (0, 1, True)
    assert processes.most([3, False]) == [3, 0]
    assert processes.collect("a") == ["a"]
    assert processes.on_first(lambda: 5) == 5
    assert processes.mean(torch.tensor([2.0])).item() == 2.0
    with processes.joined():
        assert not processes.is_distributed()


def fail():
    raise StoreError("no room")


def outcome(work):
    try:
        return work()
    except (StoreError, OtherProcessError) as error:
        return str(error)


class Held:
    """Refers to itself, as a runner does, to a wrapped model and to a mesh."""

    mesh = None

    def __init__(self):
        self.itself = self
        self.model = DistributedDataParallel(torch.nn.Linear(4, 4))
        self.model(torch.ones(2, 4)).sum().backward()
        # an objective that gathers, first imported when a run builds it
        importlib.import_module("gigakit.ssl.ranks").gathered(torch.ones(1))
        # torch's caches keep a mesh for the rest of the process
        Held.mesh = init_device_mesh("cpu", (2,))

    def fail(self):
        processes.on_first(fail)


def threads_after_an_error(port):
    # at the same port one could meet the other while it still parts
    os.environ["MASTER_PORT"] = str(port)
    try:
        with processes.joined():
            assert not Path("/proc/self/task").exists() or exchange_threads()
            Held().fail()
    except (StoreError, OtherProcessError):
        # while the error is told, its frames are there
        return exchange_threads()
    return ["no error"]


def member(rank, ports, answers):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ports[0])}
    with processes.joined(), processes.joined():
        found = {
            "rank": processes.rank(),
            "first": processes.is_first(),
            "most": processes.most([rank, 1 - rank, 7]),
            "mean": processes.mean(torch.tensor([rank, 4.0])).tolist(),
            "collect": processes.collect("ab"[rank]),
            "done": processes.on_first(lambda: f"of {rank}"),
            "failed": outcome(lambda: processes.on_first(fail)),
            "after": processes.most([0]),
        }
        Held()
    found |= {
        "threads": exchange_threads(),
        "threads after an error": threads_after_an_error(ports[1]),
    }
    answers.put({**found, "left": not processes.is_distributed(), "still": processes.is_first()})


@pytest.fixture(scope="module")
def two():
    """Return what each of two processes finds, by rank."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (one, other)]
    answers = CONTEXT.Queue()
    members = [CONTEXT.Process(target=member, args=(rank, ports, answers)) for rank in (0, 1)]
    for process in members:
        process.start()
    found = sorted((answers.get(timeout=120) for _ in members), key=lambda answer: answer["rank"])
    for process in members:
        process.join()
    return found


def test_the_largest_vote_counts_for_each_entry(two):
    assert [answer["most"] for answer in two] == [[1, 1, 7]] * 2


def test_means_and_collections_are_the_same_everywhere(two):
    assert [answer["mean"] for answer in two] == [[0.5, 4.0]] * 2
    assert [answer["collect"] for answer in two] == [["a", "b"]] * 2


def test_rank_0_works_for_all(two):
    assert [answer["done"] for answer in two] == ["of 0"] * 2


def test_a_failure_of_rank_0_is_told_once_and_leaves_nobody_waiting(two):
    assert [answer["failed"] for answer in two] == ["no room", "rank 0 failed, see its message"]
    assert [answer["after"] for answer in two] == [[0]] * 2


def test_processes_part_and_keep_their_places(two):
    assert [answer["left"] for answer in two] == [True, True]
    assert [answer["first"] for answer in two] == [True, False]
    assert [answer["still"] for answer in two] == [True, False]


def test_no_thread_of_theirs_meets_the_interpreters_end(two):
    # it would abort the process as it drops its last tensor
    assert [answer["threads"] for answer in two] == [[], []]
    assert [answer["threads after an error"] for answer in two] == [[], []]
