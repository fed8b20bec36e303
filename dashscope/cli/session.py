"""What every command runs in: a client, errors as sentences, and exit codes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click
from rich.console import Console

from dashscope import Client, DashscopeError, ModelError
from dashscope._config import DEFAULT_BASE_URL

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

console = Console(stderr=True, highlight=False, soft_wrap=True)


class _Terminated(BaseException):
    """SIGTERM, as an exception: what was created is cancelled on its way up."""


@contextmanager
def session(*, quiet: bool) -> Generator[tuple[Client, bool]]:
    """A client by the environment, and whether a local server was started just for it.

    Errors end the command with a sentence on stderr and an exit code.
    """
    try:
        signal.signal(signal.SIGTERM, _terminate)
        with ExitStack() as stack:
            base_url = _local_server(stack, quiet=quiet) if _nobody_serves() else None
            client = stack.enter_context(Client(base_url=base_url))
            yield client, base_url is not None
    except (KeyboardInterrupt, _Terminated) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        console.print("Interrupted." if interrupted else "Terminated.")
        _say_notes(stop)
        sys.exit(INTERRUPTED if interrupted else TERMINATED)
    except (DashscopeError, ValueError, TypeError, OSError) as error:
        _say(error)
        sys.exit(1)


def _say(error: Exception) -> None:
    if isinstance(error, ModelError) and error.prediction.logs:
        click.echo(error.prediction.logs.rstrip(), err=True)
    console.print("[bold red]error:[/]", end=" ")
    click.echo(str(error), err=True)
    _say_notes(error)


def _say_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        click.echo(note, err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _nobody_serves() -> bool:
    """Is no address configured, and nobody at the default one?"""
    if os.environ.get("DASHSCOPE_BASE_URL"):
        return False
    host, _, port = DEFAULT_BASE_URL.split("/")[2].partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False


def _local_server(stack: ExitStack, *, quiet: bool) -> str:
    if any(find_spec(name) is None for name in ("starlette", "uvicorn", "pydantic", "PIL")):
        raise DashscopeError(
            "No server at the default address. Set DASHSCOPE_BASE_URL to the API's, or "
            "pip install 'dashscope-client[cli,local]' to have a local server started."
        )
    from dashscope.local import LocalServer

    server = stack.enter_context(LocalServer())
    if not quiet:
        console.print(f"No DASHSCOPE_BASE_URL is set: started a local server at {server.base_url}")
    return server.base_url
