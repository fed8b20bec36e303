"""Ends a worker when its server exits, no matter what the model is doing.

The server holds the only write end of a pipe. The server closes that end to kill the worker. When
the server exits, even by SIGKILL, the kernel closes it. The kernel then signals the worker's
process group. This needs no code in the worker, which matters if the model runs C code that never
releases the GIL. The supervisor ends the processes that have left the group.
"""

import os
import select
import signal
import sys
from typing import Final

SUPERVISED: Final = sys.platform == "linux"
"""Whether workers are forks with a supervisor, which ends all their child processes with them."""


def hold(descriptor: int) -> None:
    """Make the kernel kill this process group when the server's end of the pipe closes.

    Outside Linux, the kernel has no such signal. There, the thread that reads from the server's
    socket detects the end of the server.
    """
    os.set_inheritable(descriptor, False)
    if sys.platform == "linux" and hasattr(os, "getpgrp"):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    # Nothing is ever written to the pipe. If it is readable, the server has already exited.
    if select.select([descriptor], [], [], 0)[0]:
        end_group()


def end_group() -> None:
    """Kill this process group, or only this process if the platform has no process groups."""
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
