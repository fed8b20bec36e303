"""What every command runs in: a client, errors as sentences, and exit codes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import click

from dashscope import Client, DashscopeError, ModelError
from dashscope._config import DEFAULT_BASE_URL
from dashscope.cli.terminal import Terminal

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
SERVER_NEEDS: Final = (
    "cloudpickle",
    "PIL",
    "platformdirs",
    "pydantic",
    "python_multipart",
    "starlette",
    "uvicorn",
)
"""What the extra `local` installs, as it is imported."""


class Terminated(BaseException):
    """SIGTERM, as an exception: what was created is cancelled on its way up."""


@contextmanager
def endings() -> Generator[None]:
    """End the program with a sentence on stderr and an exit code, whatever went wrong."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        click.echo("Interrupted." if interrupted else "Terminated.", err=True)
        _say_notes(stop)
        sys.exit(INTERRUPTED if interrupted else TERMINATED)
    except BrokenPipeError:
        raise  # whoever read the output has gone: nobody to tell
    except (DashscopeError, ValueError, TypeError, OSError) as error:
        _say(error)
        sys.exit(1)


@contextmanager
def terminable() -> Generator[None]:
    """Have SIGTERM raise `Terminated`, so that what was created is cancelled."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def session(terminal: Terminal, *, own_server: bool = False) -> Generator[tuple[Client, bool]]:
    """A client by the environment, and whether a local server was started just for it.

    Args:
        terminal: where to say that one was.
        own_server: whether to start one when no address is set and nobody is at the default one.
    """
    with terminable(), ExitStack() as stack:
        base_url = _local_server(stack, terminal) if own_server and _nobody_serves() else None
        client = stack.enter_context(Client(base_url=base_url))
        yield client, base_url is not None


def _say(error: Exception) -> None:
    if isinstance(error, ModelError) and error.prediction.logs:
        click.echo(error.prediction.logs.rstrip(), err=True)
    Terminal().err.print("[bold red]error:[/]", end=" ")
    click.echo(str(error), err=True)
    _say_notes(error)


def _say_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        click.echo(note, err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


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


def _local_server(stack: ExitStack, terminal: Terminal) -> str:
    if any(find_spec(name) is None for name in SERVER_NEEDS):
        raise DashscopeError(
            "No server at the default address. Set DASHSCOPE_BASE_URL to the API's, or "
            "pip install 'dashscope-client[cli,local]' to have a local server started."
        )
    from dashscope.local import LocalServer

    server = stack.enter_context(LocalServer())
    terminal.note(f"No DASHSCOPE_BASE_URL is set: started a local server at {server.base_url}")
    return server.base_url
