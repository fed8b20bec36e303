"""What ends a worker with its server, whatever the model is doing then.

The server holds the one writing end of a pipe. When it goes, even by SIGKILL, the kernel closes
that end, and signals the worker and all it forked. No code of the worker's is needed for it: a
model may be in C code that never lets another thread run.
"""

import os
import select
import signal
import sys


def hold(descriptor: int) -> None:
    """Have the kernel kill this process group when nothing holds the other end any more.

    Elsewhere than on Linux the kernel has no such signal, and the thread that reads from the
    server's socket has to notice.
    """
    os.set_inheritable(descriptor, False)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    # Nothing is ever written to it: what can be read is its end, which came before the signal.
    if select.select([descriptor], [], [], 0)[0]:
        os.killpg(0, signal.SIGKILL)
