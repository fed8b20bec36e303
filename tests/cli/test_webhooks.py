"""`dashscope webhooks listen` prints signed webhooks once and rejects others."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from dashscope import Client, webhooks
from tests.cli.command import CommandLine
from tests.cli.conftest import RunCLI
from tests.cli.process import Finished, Program
from tests.variants import variants

SECRET = "whsec_c2VjcmV0IG9mIG1pbmU="
BODY = b'{"id": "p1", "status": "failed", "model": "me/it", "error": "out\\nof \\u001b[31mink"}'


def listening(command: CommandLine, *arguments: str, **options: object) -> tuple[Program, str]:
    program = command.start("webhooks", "listen", "--port", "0", *arguments, **options)
    return program, program.wait_for_stderr(r"Listening at (http://127\.0\.0\.1:\d+)")[1]


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def receive(
    command: CommandLine, *arguments: str, send: Callable[[str], object]
) -> tuple[Finished, Any]:
    """Listen in this process, call `send` with the address, and return both results."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def sender() -> object:
        for _ in range(1000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return send(f"http://127.0.0.1:{port}")
            time.sleep(0.01)
        raise AssertionError("it does not listen")

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(sender)
        done = command("webhooks", "listen", "--port", str(port), *arguments)
    return done, sent.result()


def test_received_webhooks_are_printed(dashscope: CommandLine, client: Client) -> None:
    done, created = receive(
        dashscope,
        *("--json", "--count", "2"),
        send=lambda url: client.models.predictions.create(
            "dashscope",
            "hello-world",
            input={"text": "Al"},
            webhook=f"{url}/any/path",
            webhook_events_filter=["start", "completed"],
        ),
    )
    assert done.code == 0
    message = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["id"] for item in message] == [created.id] * 2
    assert message[-1]["output"] == "hello Al"


def test_unsigned_webhooks_are_rejected_and_duplicates_printed_once(
    without_address: CommandLine,
) -> None:
    program, url = listening(without_address, env={"DASHSCOPE_WEBHOOK_SECRET": SECRET})
    headers = webhooks.sign(BODY, SECRET, id="msg_1")
    assert post(url, BODY, {}) == 401
    assert post(url, BODY + b" ", headers) == 401
    assert post(url, BODY, webhooks.sign(BODY, SECRET, timestamp=1)) == 401
    assert post(url, BODY, headers) == 200
    assert post(url, BODY, headers) == 200
    program.wait_for_stdout("p1")
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == 0
    assert done.stderr.count("Rejected a webhook: ") == 3
    assert "Traceback" not in done.stderr
    cells = done.stdout.removesuffix("\n").split("\t")
    assert cells[1:] == ["failed", "p1", "me/it", "out of \x1b[31mink"]


def test_bad_requests_do_not_stop_the_listener(
    without_address: CommandLine,
) -> None:
    def send(url: str) -> int:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 411 " in sender.recv(1000)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
            assert b" 413 " in sender.recv(1000)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
        return post(url, BODY, webhooks.sign(BODY, SECRET))

    done, status = receive(without_address, "--secret", SECRET, "--count", "1", send=send)
    assert status == 200
    assert done.code == 0
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1


def test_an_address_in_use_is_named(run_cli: RunCLI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli(f"webhooks listen --port {port} --secret {SECRET}")
    assert (done.code, done.stdout) == (4, "")
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in done.stderr


@variants("secret", ["whsec_", "whsec_*"])
def test_an_invalid_secret_is_rejected_at_once(run_cli: RunCLI, secret: str) -> None:
    done = run_cli(f"webhooks listen --port 0 --secret '{secret}'")
    assert (done.code, done.stdout) == (1, "")
    assert "secret" in done.stderr


def test_the_secret_is_printed(run_cli: RunCLI, client: Client) -> None:
    key = client.webhooks.default.secret.get().key
    assert run_cli("webhooks secret").stdout == f"{key}\n"
    assert json.loads(run_cli("webhooks secret --json").stdout) == {"key": key}
