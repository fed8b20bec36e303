"""The process that forks the workers of a server. Linux only.

Starting Python and importing the runner takes many times longer than a fork. This process does both
once. It has a single thread and loads no model, so a fork of it is as good as a new process.
"""

import importlib
import os
import signal
import socket
import sys
import traceback
from typing import Any, Final

from dashscope.local.worker import messages, supervisor

DESCRIPTORS: Final = 4
"""The lifeline, the socket, the log, and the pipe for the status of the worker."""


def run() -> int:
    """Fork a worker for each request on standard input. Exit when the server closes it.

    Returns:
        In each worker, the descriptor of its lifeline.
    """
    requests = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # The kernel reaps the supervisors.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while (request := _receive(requests)) is not None:
        setup, descriptors = request
        status = descriptors[-1]
        try:
            pid = os.fork()
        except OSError as error:
            traceback.print_exception(error)
            supervisor.report(status, supervisor.NOT_STARTED)
            pid = -1
        if pid == 0:
            requests.close()
            return _become_worker(setup, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    sys.exit(0)


def _receive(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request with its descriptors, or None if the server has exited."""
    head, descriptors, _, _ = socket.recv_fds(requests, messages.LENGTH.size, DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    with requests.makefile("rb", buffering=0) as file:
        setup = messages.read(file, head)
    return (setup, descriptors) if setup is not None else None


def _become_worker(
    setup: dict[str, Any], lifeline: int, connection: int, log: int, status: int
) -> int:
    """Turn a fork into a supervisor and its worker. Return the lifeline in the worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for descriptor, stream in ((connection, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, stream)
    os.close(connection)
    os.close(log)
    os.chdir(setup["folder"])
    os.environ.clear()
    os.environ.update(setup["environment"])
    sys.path[:] = setup["path"]
    importlib.invalidate_caches()
    supervisor.start(lifeline, status)
    return lifeline
