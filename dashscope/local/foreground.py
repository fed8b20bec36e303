"""``serve``: a server in the foreground, until a signal ends it."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, Final

import platformdirs

from dashscope._runtime.signals import taken
from dashscope.local.models.catalog import ModelsError
from dashscope.local.server import LocalServer
from dashscope.local.store import DataFolderError

DEFAULT_PORT: Final = 3274
EXIT_CONFIGURATION: Final = 2
EXIT_DATA_IN_USE: Final = 3
EXIT_ADDRESS: Final = 4

logger = logging.getLogger("dashscope.local")


def serve(
    models: Path | str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    data: Path | str | None = None,
    token: str | None = None,
    rate_limit: str | None = None,
    drain: float = 10.0,
) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; a second one ends it without draining.

    Args:
        models: The path of a file that defines models with ``@model``.
        host: The address to listen on; other than loopback only with a token.
        port: The port; 0 takes a free one.
        data: The data folder; by default the platform's place for it.
        token: What requests have to carry; ``DASHSCOPE_LOCAL_TOKEN`` by default.
        rate_limit: Answer 429 beyond so many requests: ``"10/s"``, ``"600/m"``.
        drain: Seconds that running jobs get to end.

    Returns:
        The exit code: 0 after a signal, 2 where an argument or the models are wrong, 3 where
        another server has the data folder, 4 where the address cannot be listened on.
    """
    folder = Path(data) if data is not None else platformdirs.user_data_path("dashscope", False)
    try:
        server = LocalServer(
            models,
            data=folder,
            host=host,
            port=port,
            token=token or os.environ.get("DASHSCOPE_LOCAL_TOKEN") or None,
            rate_limit=rate_limit,
            drain=drain,
        )
        with log_to_stderr(), stop_signal() as stop, server:
            sys.stdout.write(f"Ready at {server.base_url}, data in {server.data}\n")
            sys.stdout.flush()
            logger.info("to look at in a browser: %s", server.base_url.removesuffix("v1"))
            taken(stop)
            logger.info("stopping: running jobs have %g s to end", drain)
    except (ValueError, ModelsError) as error:
        return report_error(error, EXIT_CONFIGURATION)
    except DataFolderError as error:
        return report_error(error, EXIT_DATA_IN_USE)
    except OSError as error:
        return report_error(f"Cannot listen on {host}:{port}: {error.strerror}.", EXIT_ADDRESS)
    return 0


def report_error(error: object, code: int) -> int:
    """Say why the server does not run, and return the exit code for it."""
    sys.stderr.write(f"dashscope serve: {error}\n")
    return code


@contextlib.contextmanager
def log_to_stderr() -> Generator[None]:
    """Write one line per request and event to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextlib.contextmanager
def stop_signal() -> Generator[SimpleQueue[int]]:
    """Yield what the first SIGTERM or SIGINT is put into; the second one ends the process."""
    # Unlike an event, it may be used by a handler that interrupts a thread waiting for it.
    stop: SimpleQueue[int] = SimpleQueue()
    before: dict[signal.Signals, Any] = {}

    def take(number: int, frame: FrameType | None) -> None:
        for one, old in before.items():
            signal.signal(one, old)
        stop.put(number)

    for one in (signal.SIGTERM, signal.SIGINT):
        before[one] = signal.signal(one, take)
    try:
        yield stop
    finally:
        for one, old in before.items():
            signal.signal(one, old)
