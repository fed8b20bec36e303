"""Text on stdout and stderr: encodings, characters that control a terminal, failed writes."""

from __future__ import annotations

import json
import logging
import os
import re
import unicodedata
from collections.abc import Iterator

import pytest

from dashscope import Client
from dashscope._common.logging import logger
from dashscope.cli.terminal import prepare_streams
from tests.cli.command import CommandLine
from tests.cli.terminal import Terminal
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.variants import variants

ORDINARY = (
    "tab\there\nline two  "  # the spaces are kept
    "日本\u3000語 😀 👩\u200d💻 می\u200cخواهم שלום مرحبا é \u200e \u00a0 \ufeff end"
)
UNSAFE = [
    *map(chr, [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\udfff\ud800",
]
EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\ud800\r"


def test_control_characters_are_escaped(
    dashscope: CommandLine, fake_server: FakeServer, terminal: Terminal
) -> None:
    text = "".join(UNSAFE)
    fake_server.respond_with(reply(prediction("succeeded", output=text), 201))
    done = dashscope(
        "run test/echo", env={"DASHSCOPE_BASE_URL": fake_server.base_url}, stdout=terminal.end
    )
    terminal.close()
    assert done.code == 0
    escapes = "".join(
        f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
        for character in text
    )
    assert terminal.drawn == f"{escapes}\r\n"


def test_other_text_is_printed_unchanged(
    dashscope: CommandLine, fake_server: FakeServer, terminal: Terminal
) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output=ORDINARY), 201))
    env = {"DASHSCOPE_BASE_URL": fake_server.base_url}
    assert dashscope("run test/echo", env=env).stdout == f"{ORDINARY}\n"
    dashscope("run test/echo", env=env, stdout=terminal.end)
    shown = dashscope("run test/echo --json", env=env).stdout
    terminal.close()
    assert terminal.drawn.replace("\r\n", "\n") == f"{ORDINARY}\n"
    assert shown == json.dumps(ORDINARY, ensure_ascii=False) + "\n"


def test_a_pipe_receives_the_output_unchanged(
    dashscope: CommandLine, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output=EVIL), 201))
    env = {"DASHSCOPE_BASE_URL": fake_server.base_url}
    assert dashscope("run test/echo", env=env).stdout == EVIL.replace("\ud800", "?") + "\n"
    assert json.loads(dashscope("run test/echo --json", env=env).stdout) == EVIL


def _anywhere(received: Received) -> Reply:
    """A server that sends the same text in every field."""
    found = prediction("failed", error=EVIL, logs=f"{EVIL}\n", model=f"a/{EVIL}", output=None)
    if received.path.endswith("/failing/predictions"):
        return reply(found, 201)
    if received.path.endswith("/refusing/predictions"):
        return reply({"title": EVIL, "detail": EVIL}, 422, x_request_id="r\x9b1")
    if received.path.startswith("/v1/predictions/"):
        return reply(found)
    if received.path.startswith("/v1/predictions"):
        return reply({"next": None, "previous": None, "results": [found]})
    return reply({"detail": EVIL}, 404)


@pytest.mark.parametrize(
    "line",
    [
        "run a/failing",  # an error and logs
        "run a/refusing",  # the message of the server
        "stream a/refusing",
        "predictions get p1",  # fields
        "predictions get p1 --json",
        "predictions list",  # a table
        "predictions list --json",
        "predictions wait p1 --logs",
        "models get a/b",
        "batch a/failing rows.jsonl",
        "batch a/failing rows.jsonl -o out.jsonl",
        "run a/b \x1b[31m=1 \x1b[31m=2",  # a usage error
    ],
)
def test_no_text_of_a_server_controls_the_terminal(
    dashscope: CommandLine, fake_server: FakeServer, terminal: Terminal, line: str
) -> None:
    (dashscope.folder / "rows.jsonl").write_text("{}\n")
    fake_server.respond_with(_anywhere)
    env = {"DASHSCOPE_BASE_URL": fake_server.base_url, "TERM": "xterm", "COLUMNS": "500"}
    dashscope(*line.split(" "), env=env, stdout=terminal.end, stderr=terminal.end)
    terminal.close()
    ours = r"\x1b\[([0-9;]*m|\?25[lh]|2K|1A)|\r"  # styles, and how a status line is drawn
    left = set(re.sub(ours, "", terminal.drawn)) - {"\n"}
    assert terminal.drawn
    assert [
        item for item in left if unicodedata.category(item) in ("Cc", "Cs") or item == "\u202e"
    ] == []


def test_log_lines_on_a_terminal_are_escaped(terminal: Terminal) -> None:
    with os.fdopen(os.dup(terminal.end), "w", encoding="utf-8") as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("log: %(message)s"))
        logger.addHandler(handler)
        try:
            prepare_streams()
            logger.warning("%s", EVIL.replace("\ud800", ""))  # xdist cannot report a surrogate
        finally:
            logger.removeHandler(handler)
    terminal.close()
    assert terminal.drawn == r"log: \x1b]0;title\x07\x1b[2J\x9b31m\u202e\x0d" + "\r\n"


@variants("line", ["run test/texts", "batch test/texts -", "run test/texts --json"])
def test_pipes_are_always_utf_8(dashscope: CommandLine, line: str) -> None:
    arguments = [*line.split(), "text0=日本 😀"]
    done = dashscope(*arguments, encoding="cp1252", stdin=b"{}\n")
    assert (done.code, done.stderr.count("error")) == (0, 0)
    assert "日本 😀" in done.stdout
    failed = dashscope("run", "test/fail", "message=日本 😀", encoding="cp1252")
    assert failed.stderr.splitlines()[-1].endswith("日本 😀")


def test_processes_always_print_utf_8(dashscope: CommandLine) -> None:
    env = {"PYTHONIOENCODING": "cp1252", "LC_ALL": "C"}
    command = (*dashscope.itself, "run", "dashscope/hello-world", "text=日本 😀")
    done = dashscope.start_python(*command, env=env).finish()
    assert (done.code, done.stdout, done.stderr) == (0, "hello 日本 😀\n", "")


def test_a_terminal_shows_replacement_characters(
    dashscope: CommandLine, terminal: Terminal
) -> None:
    done = dashscope(
        *("run", "dashscope/hello-world", "text=日本 é 😀"),
        stdout=terminal.end,
        encoding="cp1252",
    )
    terminal.close()
    assert done.code == 0
    assert terminal.bytes == "hello ?? é ?\r\n".encode("cp1252")


def test_json_on_a_terminal_is_utf_8(dashscope: CommandLine, terminal: Terminal) -> None:
    dashscope(
        *("run", "test/echo", 'value="日本"', "--json"), stdout=terminal.end, encoding="cp1252"
    )
    terminal.close()
    assert terminal.bytes.decode() == '"日本"\r\n'


@pytest.mark.parametrize("command", ["run", "stream", "deployments run"])
def test_if_printing_fails_the_error_explains_how_to_get_the_output(
    dashscope: CommandLine, client: Client, command: str, full: int, deployed: str
) -> None:
    model = deployed if command.startswith("deployments") else "test/words"
    done = dashscope(*command.split(), model, "count=2", stdout=full)
    assert done.code == 1
    first, note = done.stderr.splitlines()[0], done.stderr
    assert first == "error: stdout cannot be written: No space left on device"
    found = re.search(r"dashscope predictions get (\w+)", note)
    assert found is not None
    assert client.predictions.get(found[1]).id == found[1]
    if command != "stream":
        assert client.predictions.get(found[1]).output == ["word1 ", "word2 "]


def test_if_printing_fails_and_the_server_stops_the_output_is_in_the_error(
    without_address: CommandLine, full: int
) -> None:
    done = without_address("run", "dashscope/hello-world", "text=Ann", stdout=full)
    assert re.search(r'The output of prediction \w+: "hello Ann"\n$', done.stderr)


def test_if_saving_fails_the_error_explains_how_to_get_the_output(dashscope: CommandLine) -> None:
    (dashscope.folder / "picture.txt").write_text("precious")
    done = dashscope("run", "test/pictures", "count=1", "-o", "./")
    assert done.code == 1
    assert re.search(r"already exists.*\n.*dashscope predictions get \w+\n$", done.stderr)


def test_a_full_disk_prints_no_traceback_at_exit(dashscope: CommandLine, full: int) -> None:
    done = dashscope.start("run", "dashscope/hello-world", "text=Ann", stdout=full).finish()
    assert done.code == 1
    assert done.stderr.count("\n") == 2
    assert "Exception ignored" not in done.stderr


def test_an_unprintable_row_is_named(dashscope: CommandLine, full: int) -> None:
    (dashscope.folder / "rows.jsonl").write_text('{"value": 1}\n')
    done = dashscope("batch", "test/echo", "rows.jsonl", stdout=full)
    assert done.code == 1
    assert re.search(r"dashscope predictions get \w+", done.stderr)


@pytest.fixture
def full() -> Iterator[int]:
    """A file descriptor that cannot be written because its disk is full."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def deployed(dashscope: CommandLine) -> Iterator[str]:
    """A deployment of `test/words`."""
    dashscope("deployments create words test/words --hardware cpu")
    yield "local/words"
    dashscope("deployments delete local/words")
