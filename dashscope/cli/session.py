"""The environment of a command: a client, errors as sentences, and exit codes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from io import StringIO
from types import FrameType
from typing import Final

import click
from attrs import define, field

from dashscope import Client, DashscopeError, ModelError, Response
from dashscope._common.installing import install_command
from dashscope._common.json import object_in
from dashscope._config import DEFAULT_BASE_URL
from dashscope.cli.terminal import Terminal, write

INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
MOST_IDS: Final = 5
"""The most ids of predictions in one message."""
SERVER_NEEDS: Final = (
    "cloudpickle",
    "markdown_it",
    "PIL",
    "platformdirs",
    "pydantic",
    "python_multipart",
    "starlette",
    "uvicorn",
)
"""The modules of the extra `local`."""


class Terminated(BaseException):
    """SIGTERM as an exception, so that the predictions of the command are canceled."""


@define
class Session:
    """A client, and what a command needs to know about it.

    Attributes:
        client: The client.
        is_temporary: True if its server stops with the command.
        prediction_id: The id of the prediction that it created last.
        canceled: The ids of the predictions that it canceled.
    """

    client: Client
    is_temporary: bool
    prediction_id: str | None = None
    canceled: list[str] = field(factory=list[str])

    def saw(self, response: Response) -> None:
        """Note what a response says about the predictions of the command."""
        method, _, url = response.asked.partition(" ")
        if method != "POST" or response.status >= HTTPStatus.MULTIPLE_CHOICES:
            return
        if url.endswith("/predictions"):
            self.prediction_id = object_in(response.text).get("id")
        elif url.endswith("/cancel"):
            prediction = object_in(response.text)
            if prediction.get("status") not in ("succeeded", "failed"):
                self.canceled.append(str(prediction.get("id")))


@contextmanager
def endings() -> Generator[None]:
    """Turn an exception into a message on stderr and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        write("Interrupted.\n" if interrupted else "Terminated.\n", err=True)
        _print_notes(stop)
        sys.exit(INTERRUPTED if interrupted else TERMINATED)
    except BrokenPipeError:
        raise  # click ends the command quietly
    except click.ClickException as error:
        message = StringIO()
        error.show(message)
        write(message.getvalue(), err=True)
        sys.exit(error.exit_code)
    except (DashscopeError, ValueError, TypeError, OSError) as error:
        _print_error(error)
        sys.exit(1)


@contextmanager
def terminable() -> Generator[None]:
    """Make SIGTERM raise `Terminated` while the block runs."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def open_session(terminal: Terminal, *, own_server: bool = False) -> Generator[Session]:
    """Open a client that is configured by the environment.

    Args:
        terminal: Where to report that a local server was started.
        own_server: Whether to start a local server if no address is configured and no server
            listens at the default address.
    """
    session: Session | None = None

    def saw(response: Response) -> None:
        if session is not None:
            session.saw(response)

    try:
        with terminable(), ExitStack() as stack:
            base_url = (
                _local_server(stack, terminal) if own_server and _needs_local_server() else None
            )
            client = stack.enter_context(Client(base_url=base_url, event_hooks={"response": [saw]}))
            session = Session(client, base_url is not None)
            yield session
    except BaseException as error:
        if session is not None and session.canceled:
            error.add_note(_canceled(session.canceled))
        raise


def _canceled(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:MOST_IDS])
    if len(ids) == 1:
        return f"Canceled prediction {shown}."
    more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
    return f"Canceled {len(ids)} predictions: {shown}{more}."


@contextmanager
def open_client(terminal: Terminal) -> Generator[Client]:
    """Open a client that is configured by the environment."""
    with open_session(terminal) as session:
        yield session.client


def _print_error(error: Exception) -> None:
    if isinstance(error, ModelError) and error.prediction.logs:
        write(error.prediction.logs.rstrip("\n") + "\n", err=True)
    Terminal().err.print("[bold red]error:[/]", end=" ")
    write(f"{error}\n", err=True)
    _print_notes(error)


def _print_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        write(f"{note}\n", err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _needs_local_server() -> bool:
    """True if no address is configured and no server listens at the default address."""
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
            "No server listens at the default address. Set DASHSCOPE_BASE_URL to the address of "
            f"the API, or install the local server: {install_command('cli', 'local')}"
        )
    from dashscope.local import LocalServer

    server = stack.enter_context(LocalServer())
    terminal.note(f"DASHSCOPE_BASE_URL is not set. Started a local server at {server.base_url}")
    return server.base_url
