"""``gigakit`` and ``python`` for tests that run many commands, each a process without its imports.

A command is forked from a server that has imported torch and mmengine, with the folder,
environment, streams and signals of the caller; so are the processes it starts by ``python -m`` of
gigakit's modules. Other uses of ``python`` are the real one.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


@contextlib.contextmanager
def warm_tools(folder: Path) -> Iterator[Path]:
    """Yield the folder, with ``gigakit`` and ``python`` in it."""
    # the name of a socket may have 107 bytes
    socket = folder / "s"
    real, client = shlex.quote(sys.executable), shlex.quote(str(HERE / "client.py"))
    warm = f"exec {real} -I -S {client} {shlex.quote(str(socket))}"
    scripts = {
        "gigakit": f'{warm} gigakit "$@"\n',
        "python": f'[[ "$1 $2" == "-m gigakit"* ]] && {warm} "${{@:2}}"\nexec {real} "$@"\n',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}")
        (folder / name).chmod(0o755)
    command = [sys.executable, "-m", "warm.server", socket, folder / "python"]
    with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield folder
        server.kill()
