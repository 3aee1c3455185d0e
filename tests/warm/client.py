"""Have the warm server run a module as a process with this one's folder, streams and signals."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    request = json.dumps(
        {"arguments": sys.argv[2:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
    ).encode()
    socket.send_fds(server, [len(request).to_bytes(8, "little")], [0, 1, 2])
    server.sendall(request)
    command = int.from_bytes(server.recv(8), "little")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda received, _frame: os.kill(command, received))
    answer = server.recv(1)
# without an answer the command took its supervisor with it
sys.exit(answer[0] if answer else 70)
