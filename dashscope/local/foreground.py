"""``serve``: run a server in the foreground until it receives a signal."""

import contextlib
import logging
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Generator, Iterable
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
    strict_inputs: bool = False,
    public_url: str | None = None,
    trusted_proxies: str | Iterable[str] = (),
    reload: bool = False,
    open_browser: bool = False,
) -> int:
    """Serve in the foreground until SIGTERM or SIGINT. A second signal stops without draining.

    Args:
        models: The path of a file that defines models with ``@model``.
        host: The address to listen on. Addresses other than loopback require a token.
        port: The port. 0 selects a free port.
        data: The data folder. Defaults to the platform's folder for user data.
        token: The token that requests must carry. Defaults to ``DASHSCOPE_LOCAL_TOKEN``.
        rate_limit: Return 429 above this rate of requests, such as ``"10/s"`` or ``"600/m"``.
        drain: Seconds to wait for running jobs before stopping.
        strict_inputs: Reject inputs with unknown names instead of ignoring them.
        public_url: The address at which clients reach the server behind a reverse proxy.
        trusted_proxies: Addresses and networks of the reverse proxies whose ``X-Forwarded-*``
            headers contain the address to which a request was sent.
        reload: Load the models again after each edit, and show errors on the pages.
        open_browser: Open the pages in a browser.

    Returns:
        The exit code: 0 after a signal, 2 if an argument or a model is invalid, 3 if the data
        folder cannot be used, 4 if the server cannot listen on the address.
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
            strict_inputs=strict_inputs,
            public_url=public_url,
            trusted_proxies=trusted_proxies,
            reload=reload,
        )
        with log_to_stderr(), stop_signal() as stop, server:
            sys.stdout.write(f"Ready at {server.base_url}, data in {server.data}\n")
            sys.stdout.flush()
            pages = f"{(public_url or server.base_url.removesuffix('/v1')).rstrip('/')}/web/"
            logger.info("web pages at %s", pages)
            if open_browser:
                show(pages)
            taken(stop)
            logger.info("stopping: waiting up to %g s for running jobs", drain)
    except (ValueError, ModelsError) as error:
        return report_error(error, EXIT_CONFIGURATION)
    except DataFolderError as error:
        return report_error(error, EXIT_DATA_IN_USE)
    except OSError as error:
        return report_error(f"Cannot listen on {host}:{port}: {error.strerror}.", EXIT_ADDRESS)
    return 0


def show(url: str) -> None:
    """Open a URL in a browser, and do not wait for it."""

    def open_url() -> None:
        if not webbrowser.open(url):
            logger.warning("no browser was found, open %s yourself", url)

    # A text browser runs until the user quits it.
    threading.Thread(target=open_url, name="browser", daemon=True).start()


def report_error(error: object, code: int) -> int:
    """Write an error to standard error and return the exit code."""
    sys.stderr.write(f"dashscope serve: {error}\n")
    return code


@contextlib.contextmanager
def log_to_stderr() -> Generator[None]:
    """Log each request and event to standard error, one line each."""
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
    """Yield a queue that receives the first SIGTERM or SIGINT. A second one ends the process."""
    # A handler may interrupt the thread that waits on this queue. With an event, that deadlocks.
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
