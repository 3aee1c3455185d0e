"""A process that has made gigakit's imports, and forks for each module it is asked to run.

Started as ``-m warm.server SOCKET PYTHON``; commands start processes of their own by PYTHON.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from typing import Any

from warm.late_imports import LATE_IMPORTS


def serve(path: str, python: str) -> None:
    """Answer clients one after another, until the test's process ends; commands run at once."""
    for name in ("gigakit.cli.app", *LATE_IMPORTS):
        importlib.import_module(name)
    # a collection in a fork would copy what it looks at
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _supervise(connection, python)
            connection.close()
            # those that ended before
            while _ended():
                pass


def _ended() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _supervise(connection: socket.socket, python: str) -> None:
    """Have a command run in a process; tell the client which, and its exit code."""
    with connection:
        head, streams, _, _ = socket.recv_fds(connection, 8, 3)
        missing, parts = int.from_bytes(head, "little"), []
        while missing:
            parts.append(connection.recv(missing))
            missing -= len(parts[-1])
        child = os.fork()
        if child == 0:
            connection.close()
            _run(json.loads(b"".join(parts)), streams, python)
        connection.sendall(child.to_bytes(8, "little"))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall((128 - code if code < 0 else code).to_bytes(1, "little"))
    os._exit(0)


def _run(request: dict[str, Any], streams: list[int], python: str) -> None:
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    sys.stdin, sys.stdout = (os.fdopen(number, mode) for number, mode in ((0, "r"), (1, "w")))
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # as "python -m" does
    sys.argv, sys.executable = request["arguments"], python
    sys.path[0] = request["folder"]
    code = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter would
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    # taking the imports apart costs a second
    os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:])
