"""`dashscope run`: the output on stdout, everything else on stderr, and an exit code."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.client.tags import status_of, wait_until_running
from tests.servers.fake_server import FakeServer, reply
from tests.variants import variants


def test_run_prints_only_the_output(dashscope: CommandLine) -> None:
    done = dashscope("run", "dashscope/hello-world", "text=Alice")
    assert (done.code, done.stdout, done.stderr) == (0, "hello Alice\n", "")


def test_run_accepts_a_version(dashscope: CommandLine, client: Client) -> None:
    version = client.models.get("dashscope", "hello-world").latest_version
    assert version is not None
    done = dashscope("run", f"dashscope/hello-world:{version.id}", "text=Alice")
    assert (done.code, done.stdout) == (0, "hello Alice\n")


def test_text_in_any_alphabet_is_preserved(dashscope: CommandLine) -> None:
    done = dashscope("run", "dashscope/hello-world", "text=Ζωή 🦊", env={"LC_ALL": "C"})
    assert (done.code, done.stdout) == (0, "hello Ζωή 🦊\n")


@variants(
    ("value", "printed"),
    [
        ("null", "null\n"),
        ('["a","b"]', "ab\n"),
        ('{"a":{"b":null},"c":"ü"}', '{\n  "a": {\n    "b": null\n  },\n  "c": "ü"\n}\n'),
    ],
)
def test_text_is_printed_unchanged_and_other_outputs_as_json(
    dashscope: CommandLine, value: str, printed: str
) -> None:
    done = dashscope("run", "test/echo", f"value={value}")
    assert (done.code, done.stdout) == (0, printed)


def test_json_is_printed_on_one_line(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/echo", 'value={"a":["ü",null]}', "--json")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {"a": ["ü", None]}


def test_text_chunks_are_joined(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/words", "count=3")
    assert done.stdout == "word1 word2 word3 \n"


def test_no_newline_is_added_after_a_newline(dashscope: CommandLine) -> None:
    text = "two\nlines\n"
    assert dashscope("run", "test/texts", f"text0={text}").stdout == text
    dashscope("run", "test/texts", f"text0={text}", "-o", "text.txt")
    assert (dashscope.folder / "text.txt").read_text() == text


def test_an_unreachable_server_is_tried_once_for_the_schema(
    dashscope: CommandLine, fake_server: FakeServer
) -> None:
    fake_server.respond_with(lambda _: reply({"detail": "later"}, 503))
    dashscope(
        "run",
        "test/echo",
        "value=1",
        "--timeout",
        "1",
        env={"DASHSCOPE_BASE_URL": fake_server.base_url},
    )
    assert fake_server.request_lines.count("GET /v1/models/test/echo") == 1


def test_other_chunks_are_a_list(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/numbers", "count=3", "--json")
    assert done.stdout == "[1, 2, 3]\n"


def test_a_failed_prediction_is_an_error_with_logs(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/fail", "message=no such word")
    assert (done.code, done.stdout) == (1, "")
    assert "about to fail" in done.stderr
    assert "error: test/fail failed (prediction " in done.stderr
    assert "no such word" in done.stderr.splitlines()[-1]


def test_a_crashed_model_is_an_error(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/crash", "code=7")
    assert (done.code, done.stdout) == (1, "")
    assert "about to crash" in done.stderr
    assert "exited with code 7" in done.stderr


def test_a_timeout_is_an_error_and_cancels_the_prediction(
    dashscope: CommandLine, client: Client
) -> None:
    done = dashscope("run", "test/slow", "seconds=60", "tag=timed", "--timeout", "0.5")
    assert (done.code, done.stdout) == (1, "")
    assert "at the timeout" in done.stderr
    assert done.seconds < 20
    assert status_of(client, "timed") == "canceled"


def test_a_prediction_canceled_by_someone_else_is_an_error(
    dashscope: CommandLine, client: Client
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: client.predictions.cancel(wait_until_running(client, "elsewhere")))
        done = dashscope("run", "test/slow", "seconds=30", "tag=elsewhere")
    assert (done.code, done.stdout) == (1, "")
    assert "canceled" in done.stderr


@pytest.mark.soak
def test_quiet_prints_errors(dashscope: CommandLine) -> None:
    done = dashscope("run", "-q", "test/fail", "message=no such word")
    assert (done.code, done.stdout) == (1, "")
    assert "no such word" in done.stderr


def test_an_unreachable_address_is_named(dashscope: CommandLine) -> None:
    done = dashscope(
        "run",
        "dashscope/hello-world",
        "text=Alice",
        "--timeout",
        "1",
        env={"DASHSCOPE_BASE_URL": "http://127.0.0.1:9/v1"},
    )
    assert (done.code, done.stdout) == (1, "")
    assert "http://127.0.0.1:9/v1" in done.stderr
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


@variants(
    ("address", "message"),
    [
        ("127.0.0.1:3274", "http:// or https://"),
        ("http://example.com/v1", "DASHSCOPE_API_TOKEN"),
        ("http://user:secret@example.com/v1", "DASHSCOPE_"),
    ],
)
def test_an_invalid_address_names_the_setting(
    dashscope: CommandLine, address: str, message: str
) -> None:
    done = dashscope("run", "test/echo", env={"DASHSCOPE_BASE_URL": address})
    assert (done.code, done.stdout) == (1, "")
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_token_is_sent_but_not_printed(dashscope: CommandLine) -> None:
    with LocalServer(token="s3cret-token") as server:
        env = {"DASHSCOPE_BASE_URL": server.base_url}
        refused = dashscope("run", "dashscope/hello-world", "text=Alice", env=env)
        env["DASHSCOPE_API_TOKEN"] = "another-token"
        wrong = dashscope("run", "dashscope/hello-world", "text=Alice", env=env)
        env |= {"DASHSCOPE_API_TOKEN": "s3cret-token", "DASHSCOPE_LOG": "debug"}
        done = dashscope.start("run", "dashscope/hello-world", "text=Alice", env=env).finish()
    assert refused.code == wrong.code == 1
    assert "DASHSCOPE_API_TOKEN" in refused.stderr
    assert "another-token" not in wrong.stderr
    assert (done.code, done.stdout) == (0, "hello Alice\n")
    assert done.stderr
    assert "s3cret-token" not in done.stderr


def test_a_broken_pipe_prints_no_traceback(dashscope: CommandLine) -> None:
    unreachable_url, end = os.pipe()
    os.close(unreachable_url)
    try:
        done = dashscope.start("run", "dashscope/hello-world", "text=Alice", stdout=end).finish()
    finally:
        os.close(end)
    assert done.code == 1
    (line,) = done.stderr.splitlines()
    assert re.search(r"get the output: dashscope predictions get \w+$", line)
