"""The parent process of a worker. It ends all processes that the worker starts. Linux only.

A child process in a separate session is in no process group that the server knows. The
supervisor is the subreaper of all its descendants: the kernel makes it the parent of each process
whose parent exits. So it can end them one generation after the other.
"""

import contextlib
import ctypes
import os
import select
import signal
import struct
from pathlib import Path
from typing import Final

STATUS: Final = struct.Struct("i")
NOT_STARTED: Final = 1 << 8
"""The status of a process that exits with code 1."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def start(lifeline: int, status: int) -> None:
    """Fork. Return in the child, which becomes the worker. The parent supervises it and exits.

    Args:
        lifeline: The read end of the lifeline. All processes end when it reaches its end.
        status: The pipe to which the supervisor writes how the worker has ended.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    parent = os.getpid()
    worker = os.fork()
    if worker:
        try:
            report(status, _supervise(lifeline, worker))
        finally:
            os._exit(0)
    os.close(status)
    os.setsid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def report(pipe: int, status: int) -> None:
    """Write the status of a worker, as ``os.waitpid`` returns it, unless the server has exited."""
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, STATUS.pack(status))


def _supervise(lifeline: int, worker: int) -> int:
    """Wait for the worker or the lifeline to end, then end all descendants. Return the status."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # The streams belong to the worker. The server must see when the worker closes them.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    status = _reap(worker)
    while status is None and lifeline not in select.select([lifeline, woken], [], [])[0]:
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        status = _reap(worker)
    ended = _end_descendants(worker)
    return ended if status is None else status


def _reap(worker: int) -> int | None:
    """Reap all children that have exited. Return the status of the worker if it is among them."""
    found: int | None = None
    with contextlib.suppress(ChildProcessError):
        while (exited := os.waitpid(-1, os.WNOHANG))[0]:
            if exited[0] == worker:
                found = exited[1]
    return found


def _end_descendants(worker: int) -> int:
    """Kill the children until none is left. Return the status of the worker if it is among them."""
    found = 0
    while _kill_children():
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            found = status
    return found


def _kill_children() -> bool:
    """Kill all children. Return whether there was one that could be killed."""
    killed = False
    for child in _children():
        # A child with other credentials cannot be killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
            killed = True
    return killed


def _children() -> list[int]:
    """Return the process ids of all children, including those that have exited."""
    found: list[int] = []
    own = str(os.getpid())
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may contain anything. State and parent follow it.
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[1].decode() == own:
                    found.append(int(folder.name))
    return found
