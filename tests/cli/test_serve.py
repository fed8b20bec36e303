"""`dashscope serve`: a server in the foreground, with the user's own models."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from dashscope import Client
from tests.cli.command import CommandLine
from tests.cli.process import Program

READY = r"\AReady at (http://127\.0\.0\.1:\d+/v1), data in (.*)\n"

SHOUT = '''
from dashscope.local import model

@model("me/shout")
def shout(text: str, times: int = 1) -> str:
    """Says it louder."""
    return text.upper() + "!" * times
'''


def test_it_says_where_it_is_answers_and_stops_when_told(without_address: CommandLine) -> None:
    program, base_url = serving(without_address)
    with Client(base_url=base_url) as client:
        assert client.run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"
    program.send(signal.SIGTERM)
    done = program.finish()
    assert done.code == 0
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert program.leaves_behind() == []


def test_ctrl_c_stops_it_too(without_address: CommandLine) -> None:
    program, _ = serving(without_address)
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == 0
    assert "Traceback" not in done.stderr
    assert program.leaves_behind() == []


def test_a_second_signal_does_not_wait_for_what_runs(without_address: CommandLine) -> None:
    program, base_url = serving(without_address)
    with Client(base_url=base_url) as client:
        client.models.predictions.create("dashscope", "countdown", input={"delay": 60})
        program.send(signal.SIGTERM)
        program.says("stopping")
        program.send(signal.SIGTERM)
        done = program.finish(within=5)
    assert done.code == -signal.SIGTERM
    assert program.leaves_behind() == []


def test_its_own_models_are_run_by_name(without_address: CommandLine) -> None:
    (without_address.folder / "models.py").write_text(SHOUT)
    _, base_url = serving(without_address, "models.py")
    env = {"DASHSCOPE_BASE_URL": base_url}
    done = without_address("run", "me/shout", "text=hello", "times=3", env=env)
    assert (done.code, done.stdout) == (0, "HELLO!!!\n")
    refused = without_address("run", "me/shout", "text=hello", "times=often", env=env)
    assert refused.code == 1
    assert "input.times" in refused.stderr


def test_what_it_stored_is_there_the_next_time(without_address: CommandLine) -> None:
    program, base_url = serving(without_address)
    with Client(base_url=base_url) as client:
        made = client.models.predictions.create(
            "dashscope", "hello-world", input={"text": "Alice"}, wait=10
        )
    program.send(signal.SIGTERM)
    program.finish()
    _, base_url = serving(without_address)
    with Client(base_url=base_url) as client:
        assert client.predictions.get(made.id).output == "hello Alice"


def test_a_token_is_asked_for(without_address: CommandLine) -> None:
    _, base_url = serving(without_address, "--token", "s3cret")
    env = {"DASHSCOPE_BASE_URL": base_url}
    refused = without_address("run", "dashscope/hello-world", "text=Alice", env=env)
    assert refused.code == 1
    env["DASHSCOPE_API_TOKEN"] = "s3cret"
    assert without_address("run", "dashscope/hello-world", "text=Alice", env=env).code == 0


def test_by_default_the_data_goes_to_the_users_own_folder(without_address: CommandLine) -> None:
    program = without_address.start("serve", "--port", "0")
    folder = program.prints(READY)[2]
    assert folder == str(without_address.folder / "data-home/dashscope")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1/0", "ZeroDivisionError"),
        pytest.param("def", "models.py", marks=pytest.mark.soak),
        ("from dashscope.local import model\n@model('Bad Name')\ndef f(): ...", "owner/name"),
    ],
)
def test_a_models_file_that_does_not_load_says_why(
    without_address: CommandLine, source: str, said: str
) -> None:
    (without_address.folder / "models.py").write_text(source)
    done = without_address("serve", "models.py", "--port", "0", "--data", "data")
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--host", "0.0.0.0"], "token"), (["--rate-limit", "often"], "often")],
)
def test_an_option_that_cannot_be_is_refused(
    without_address: CommandLine, arguments: list[str], said: str
) -> None:
    done = without_address("serve", "--port", "0", "--data", "data", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_in_use_is_an_error(without_address: CommandLine) -> None:
    _, base_url = serving(without_address)
    done = without_address("serve", "--port", "0", "--data", "data")
    assert (done.code, done.stdout) == (3, "")
    assert base_url.removesuffix("/v1") in done.stderr


def test_a_port_that_is_taken_is_an_error(without_address: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = without_address("serve", "--port", str(port), "--data", "data")
    assert (done.code, done.stdout) == (4, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr


def serving(command: CommandLine, *arguments: str | Path) -> tuple[Program, str]:
    """Start a server on a free port, and wait until it says that it is ready."""
    program = command.start("serve", *arguments, "--port", "0", "--data", "data")
    return program, program.prints(READY)[1]
