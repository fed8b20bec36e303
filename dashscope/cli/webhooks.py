"""`dashscope webhooks listen`: receive, verify and print webhooks."""

from __future__ import annotations

import socket
import sys
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, cast

import click

from dashscope import Prediction, Training, WebhookVerificationError, webhooks
from dashscope._runtime.signals import taken
from dashscope.cli.commands import CANNOT_LISTEN, command
from dashscope.cli.session import Terminated, open_client, terminable
from dashscope.cli.show import cell, one_line
from dashscope.cli.terminal import Terminal, write

LARGEST_BODY: Final = 64 * 1024 * 1024
"""The maximum number of bytes in a webhook."""
REMEMBERED: Final = 10_000
"""The number of ids to remember, to recognize repeated webhooks."""
READ_TIMEOUT: Final = 30.0
"""Seconds without data after which a sender is disconnected."""

Received: TypeAlias = Prediction | Training | str
"""A webhook, or the reason why one was rejected."""


class _Receiver(ThreadingHTTPServer):
    """Queues webhooks that are signed with the secret, each of them once."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, secret: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.received: SimpleQueue[Received] = SimpleQueue()
        self._secret = secret
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        super().__init__((host, port), _Request)

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else host
        return f"http://{shown!s}:{port}"

    def take(self, body: bytes, headers: list[tuple[str, str]]) -> HTTPStatus:
        """Verify a webhook, and return the status to answer."""
        try:
            found = webhooks.verify(body, headers, self._secret)
        except WebhookVerificationError as error:
            self.received.put(f"Rejected a webhook: {error}")
            return HTTPStatus.UNAUTHORIZED
        id = next(value for name, value in headers if name.lower() == "webhook-id")
        with self._lock:
            if id in self._seen:
                return HTTPStatus.OK
            self._seen.append(id)
        self.received.put(found)
        return HTTPStatus.OK

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report that a sender disconnected."""
        self.received.put(f"A request was incomplete: {sys.exc_info()[1]}")


class _Request(BaseHTTPRequestHandler):
    timeout = READ_TIMEOUT

    def do_POST(self) -> None:
        """Receive a webhook."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > LARGEST_BODY:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            body = self.rfile.read(int(length))
            receiver = cast("_Receiver", self.server)
            self._answer(receiver.take(body, self.headers.items()))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the command prints webhooks and rejections."""

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _listen(
    terminal: Terminal, *, host: str, port: int, secret: str | None, count: int | None
) -> None:
    if secret is None:
        with open_client(terminal) as client:
            secret = client.webhooks.default.secret.get().key
    webhooks.sign(b"", secret)  # reports an invalid secret early
    with _receiver(host, port, secret) as receiver:
        terminal.note(f"Listening at {receiver.url}. Press Ctrl-C to stop.")
        with suppress(KeyboardInterrupt, Terminated), terminable():
            left = count
            while left is None or left > 0:
                received = taken(receiver.received)
                if isinstance(received, str):
                    terminal.note(received)
                    continue
                _print(terminal, received)
                left = None if left is None else left - 1


@contextmanager
def _receiver(host: str, port: int, secret: str) -> Generator[_Receiver]:
    try:
        receiver = _Receiver(host, port, secret)
    except OSError as error:
        write(f"Cannot listen on {host}:{port}: {error.strerror}.\n", err=True)
        sys.exit(CANNOT_LISTEN)
    with receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def _print(terminal: Terminal, received: Prediction | Training) -> None:
    if terminal.as_json:
        terminal.line(received.raw)
        return
    now = datetime.now().astimezone().strftime("%H:%M:%S")
    shown = received.error if received.error is not None else received.raw.get("output")
    cells = (now, received.status, received.id, received.model or "", cell(shown))
    terminal.text(("  " if terminal.is_for_people else "\t").join(map(one_line, cells)))


listen = command(
    "listen",
    _listen,
    click.Option(
        ["--host"], default="127.0.0.1", show_default=True, help="The address to listen on."
    ),
    click.Option(
        ["--port"],
        default=8000,
        show_default=True,
        type=click.IntRange(0, 65535),
        help="The port to listen on. 0 selects a free port.",
    ),
    click.Option(
        ["--secret"],
        envvar="DASHSCOPE_WEBHOOK_SECRET",
        show_envvar=True,
        help="The signing secret (whsec_...). Default: requested from the API.",
    ),
    click.Option(["--count"], type=click.IntRange(1), help="Stop after this many webhooks."),
    help="""Receive webhooks, verify them and print them.

    Any path works. A request without a valid signature is answered with 401 and reported on
    stderr. A repeated webhook is printed once. Ctrl-C stops the command with exit code 0.""",
    examples=(
        "dashscope webhooks listen --port 8000",
        "dashscope webhooks listen --port 8000 --count 1 --json",
    ),
)
