"""One fork server for all local servers of this process."""

from __future__ import annotations

import threading

from dashscope.local.jobs import launching
from dashscope.local.worker import lifeline


class SharedForkServer(launching.ForkServer):
    """Forks the workers of all local servers from one process.

    A fork server has no state, and starting one costs more than everything else that a local server
    does in a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = threading.Lock()

    def make_launcher(self) -> launching.Launcher:
        """Return this launcher where the product would start a fork server."""
        return self if lifeline.SUPERVISED else launching.make_launcher()

    def launch(self, held: int, lifeline_end: int, stdin: int, log: int) -> launching.Process:
        with self._one_at_a_time:
            return super().launch(held, lifeline_end, stdin, log)

    async def stop(self) -> None:
        """Keep the process for the next server."""

    def close(self) -> None:
        """End the process."""
        self._end()
