"""The toy run, for tests in this process and for processes that tests kill."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session")
def toy():
    """Return the module of the toy run."""
    spec = importlib.util.spec_from_file_location("engine_toy", TOY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy_process(tmp_path_factory):
    """Return a function that makes a toy run in real processes and returns their exit codes."""
    stderr = tmp_path_factory.mktemp("toy") / "stderr"
    paths = filter(None, [os.environ.get("PYTHONPATH")])
    with (
        stderr.open("w") as stream,
        subprocess.Popen(
            [sys.executable, str(TOY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join([str(TOY.parents[1]), *paths]),
            },
        ) as server,
    ):

        def run(work_dir, *, processes=1, **arguments):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            arguments["work_dir"] = str(work_dir)
            request = {"arguments": arguments, "processes": processes, "port": port}
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
            assert answer, stderr.read_text()
            return json.loads(answer)

        yield run
        server.stdin.close()


@pytest.fixture(scope="session")
def finished(toy, tmp_path_factory):
    """Return the folder of an uninterrupted toy run."""
    from gigakit.engine.train import train

    folder = tmp_path_factory.mktemp("finished") / "toy" / "1"
    train(toy.config(), work_dir=folder, banner=["recipe      toy"], extra_meta={"notes": ["toy"]})
    return folder
