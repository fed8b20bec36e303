"""Run programs in forked children of a process that has imported the package.

The import takes most of the time of a short program. Everything else is like in a new process: the
program is the main module, has its own output, and ends like a process of its own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

SOURCE = """
import gc, json, os, socket, sys
from dashscope import AsyncClient, Client

# At the end of a program, the garbage collector would visit what the server has imported.
gc.collect()
gc.freeze()


def next_program():
    # Returns in a child. The server runs one program after the other.
    requests = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, outputs, _, _ = socket.recv_fds(requests, 2**20, 2)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid:
            for output in outputs:
                os.close(output)
            requests.send(str(pid).encode())
            requests.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
            continue
        requests.close()
        for number, output in enumerate(outputs, 1):
            os.dup2(output, number)
            os.close(output)
        program = json.loads(message)
        os.chdir(program["cwd"])
        os.environ.update(program["env"])
        sys.argv[:] = program["arguments"]
        with open(sys.argv[0]) as file:
            return compile(file.read(), sys.argv[0], "exec")


exec(next_program())
"""


class ForkServer:
    """A process that runs programs in forked children, in development mode and one at a time."""

    def __init__(self, env: dict[str, str]) -> None:
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-W", "error", "-c", SOURCE, str(theirs.fileno())],
                env=env,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def close(self) -> None:
        self.requests.close()
        self._process.wait()


class ForkedProcess:
    """A program that runs in a child of a fork server, with the interface of `Popen`."""

    def __init__(
        self, server: ForkServer, arguments: Sequence[str], *, cwd: Path, env: dict[str, str]
    ) -> None:
        self._requests = server.requests
        self._code: int | None = None
        program = {"arguments": arguments, "cwd": str(cwd), "env": env}
        outputs = [os.pipe() for _ in range(2)]
        socket.send_fds(
            self._requests, [json.dumps(program).encode()], [writer for _, writer in outputs]
        )
        for _, writer in outputs:
            os.close(writer)
        self.stdout, self.stderr = (_reader(reader) for reader, _ in outputs)
        self.pid = int(self._requests.recv(100))

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program has exited, and return its exit code."""
        if self._code is None:
            if not select.select([self._requests], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("program", timeout or 0.0)
            self._code = int(self._requests.recv(100))
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal to the program unless it has exited."""
        try:
            self.wait(0)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program unless it has exited."""
        self.send_signal(signal.SIGKILL)


def _reader(descriptor: int) -> IO[bytes]:
    return os.fdopen(descriptor, "rb", buffering=0)
