"""`dashscope serve`: a server in the foreground with the user's models."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from dashscope import Client
from tests.cli.command import CommandLine
from tests.cli.process import Program
from tests.variants import variants
from tests.waiting import wait_until

READY = r"\AReady at (http://127\.0\.0\.1:\d+/v1), data in (.*)\n"

SHOUT = '''
from dashscope.local import model

@model("me/shout")
def shout(text: str, times: int = 1) -> str:
    """Says it louder."""
    return text.upper() + "!" * times
'''


def test_serve_runs_until_a_signal(without_address: CommandLine) -> None:
    """One server and its successor check all rules of a server in the foreground."""
    (without_address.folder / "models.py").write_text(SHOUT)
    command = ("models.py", "--token", "s3cret", "--data", "data")
    program, base_url = serving(without_address, *command)
    env = {"DASHSCOPE_BASE_URL": base_url}

    refused = without_address("run", "me/shout", "text=hello", env=env)
    assert refused.code == 1
    assert "DASHSCOPE_API_TOKEN" in refused.stderr
    env["DASHSCOPE_API_TOKEN"] = "s3cret"
    done = without_address("run", "me/shout", "text=hello", "times=3", env=env)
    assert (done.code, done.stdout) == (0, "HELLO!!!\n")
    refused = without_address("run", "me/shout", "text=hello", "times=often", env=env)
    assert refused.code == 1
    assert "input.times" in refused.stderr
    done = without_address("run", "dashscope/hello-world", "text=Alice", env=env)
    assert done.stdout == "hello Alice\n"

    second = without_address("serve", "--port", "0", "--data", "data")
    assert (second.code, second.stdout) == (3, "")
    assert base_url.removesuffix("/v1") in second.stderr

    program.send(signal.SIGTERM)
    done = program.finish()
    assert done.code == 0
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert program.remaining_children() == []

    # The stored predictions are there after a restart.
    program, base_url = serving(without_address, *command)
    with Client("s3cret", base_url=base_url) as client:
        outputs = [prediction.output for prediction in client.predictions.list()]
    assert outputs == ["hello Alice", "HELLO!!!"]
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == 0
    assert "Traceback" not in done.stderr
    assert program.remaining_children() == []


def test_a_second_signal_does_not_wait_for_predictions(without_address: CommandLine) -> None:
    program, base_url = serving(without_address)
    folder = program.wait_for_stdout(READY)[2]
    assert folder == str(without_address.folder / "data-home/dashscope"), "the default folder"
    with Client(base_url=base_url) as client:
        client.models.predictions.create("dashscope", "countdown", input={"delay": 60})
        program.send(signal.SIGTERM)
        program.wait_for_stderr("stopping")
        program.send(signal.SIGTERM)
        done = program.finish(within=5)
    assert done.code == -signal.SIGTERM
    assert program.remaining_children() == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1/0", "ZeroDivisionError"),
        pytest.param("def", "models.py", marks=pytest.mark.soak),
        ("from dashscope.local import model\n@model('Bad Name')\ndef f(): ...", "owner/name"),
    ],
)
def test_an_invalid_models_file_is_an_error(
    without_address: CommandLine, source: str, message: str
) -> None:
    (without_address.folder / "models.py").write_text(source)
    done = without_address("serve", "models.py", "--port", "0", "--data", "data")
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@variants(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--rate-limit", "often"], "often"),
        (["--public-url", "example.com"], "public URL"),
        (["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "x"], "trusted proxy"),
        (["--reload"], "models file"),
    ],
)
def test_invalid_options_are_rejected(
    without_address: CommandLine, arguments: list[str], message: str
) -> None:
    done = without_address("serve", "--port", "0", "--data", "data", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_open_and_reload(without_address: CommandLine) -> None:
    folder = without_address.folder
    (folder / "models.py").write_text("1 / 0")
    browser = folder / "browser.sh"
    browser.write_text(f"#!/bin/sh\necho $1 >> {folder}/opened\n")
    browser.chmod(0o755)
    program = without_address.start(
        *("serve", "models.py", "--port", "0", "--reload", "--open"),
        *("--public-url", "https://example.com/models/"),
        env={"BROWSER": str(browser)},
    )
    base_url = program.wait_for_stdout(READY)[1]
    program.wait_for_stderr("ZeroDivisionError")
    wait_until(lambda: (folder / "opened").exists() and (folder / "opened").read_text())
    assert (folder / "opened").read_text() == "https://example.com/models/web/\n"
    (folder / "models.py").write_text(SHOUT)
    program.wait_for_stderr("loaded .*models.py again")
    with Client(base_url=base_url) as client:
        assert client.run("me/shout", {"text": "hello"}) == "HELLO!"
    program.send(signal.SIGTERM)
    assert program.finish().code == 0


def test_a_port_in_use_is_an_error(without_address: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = without_address("serve", "--port", str(port), "--data", "data")
    assert (done.code, done.stdout) == (4, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr


def serving(command: CommandLine, *arguments: str | Path) -> tuple[Program, str]:
    """Start a server on a free port, and wait until it is ready."""
    program = command.start("serve", *arguments, "--port", "0")
    return program, program.wait_for_stdout(READY)[1]
