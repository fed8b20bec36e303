"""Output on a terminal: the status line, tables, images and Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from dashscope import Client
from tests.cli.command import CommandLine
from tests.cli.terminal import Terminal
from tests.client.tags import status_of, wait_until_running
from tests.waiting import wait_until

IN_ITS_OWN_SESSION = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
from dashscope.__main__ import main
main()
"""
"""Run the command with the terminal as its controlling terminal, as a shell does."""


ERASED = "\x1b[2K"
CURSOR_SHOWN = "\x1b[?25h"
CURSOR_HIDDEN = "\x1b[?25l"


def test_the_status_is_on_the_terminal_and_the_output_on_stdout(
    dashscope: CommandLine, terminal: Terminal
) -> None:
    done = dashscope(
        "run", "test/steps", "total=4", "pause=0.3", stderr=terminal.end, env={"TERM": "xterm"}
    )
    terminal.close()
    assert (done.code, done.stdout) == (0, "4\n")
    assert "test/steps: starting" in terminal.shown
    assert "test/steps: processing" in terminal.shown
    assert re.search(r"test/steps: processing (25|50|75|100)%", terminal.shown)


def test_the_status_line_is_cleared_at_the_end(dashscope: CommandLine, terminal: Terminal) -> None:
    dashscope(
        "run", "test/slow", "seconds=0.3", "tag=a", stderr=terminal.end, env={"TERM": "xterm"}
    )
    terminal.close()
    drawn = terminal.drawn.rindex("test/slow")
    assert terminal.drawn.rfind(ERASED) > drawn
    assert terminal.drawn.rfind(CURSOR_SHOWN) > terminal.drawn.rfind(CURSOR_HIDDEN)


def test_quiet_hides_the_status(dashscope: CommandLine, terminal: Terminal) -> None:
    dashscope(
        "run", "-q", "test/slow", "seconds=0.3", "tag=a", stderr=terminal.end, env={"TERM": "xterm"}
    )
    terminal.close()
    assert terminal.drawn == ""


def test_without_a_terminal_there_is_no_status(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/steps", "total=2", "pause=0.2")
    assert (done.code, done.stdout, done.stderr) == (0, "2\n", "")


def test_an_error_clears_the_status_line(dashscope: CommandLine, terminal: Terminal) -> None:
    done = dashscope(
        "run", "test/fail", "message=oh no", stderr=terminal.end, env={"TERM": "xterm"}
    )
    terminal.close()
    assert done.code == 1
    last = [line for line in terminal.shown.replace("\r", "").split("\n") if line][-1]
    assert last.startswith("error: test/fail")
    assert last.endswith("oh no")


def test_ctrl_c_in_a_terminal_cancels_the_prediction(
    dashscope: CommandLine, client: Client, terminal: Terminal, tmp_path: Path
) -> None:
    program = dashscope.start_python(
        *("-c", IN_ITS_OWN_SESSION),
        "run",
        "test/slow",
        "seconds=60",
        "tag=keyboard",
        stdin=terminal.end,
        stderr=terminal.end,
        env={"TERM": "xterm"},
        forked=True,
    )
    id = wait_until_running(client, "keyboard")
    pressed = time.monotonic()
    terminal.types(b"\x03")
    done = program.finish()
    terminal.close()
    assert time.monotonic() - pressed < 3
    assert (done.code, done.stdout) == (130, "")
    assert terminal.shown.replace("\r", "").endswith(f"Interrupted.\nCanceled prediction {id}.\n")
    assert "Traceback" not in terminal.shown
    assert status_of(client, "keyboard") == "canceled"


COLOR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[0-9;]*m")


@pytest.mark.parametrize(
    ("env", "colored"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        pytest.param({"TERM": "dumb"}, False, marks=pytest.mark.soak),
    ],
)
def test_images_are_drawn_on_terminals_with_colors(
    dashscope: CommandLine, terminal: Terminal, photo: Path, env: dict[str, str], colored: bool
) -> None:
    done = dashscope(
        *("run", "dashscope/thumbnail", f"image=@{photo.name}", "width=20"),
        stdout=terminal.end,
        env=env,
    )
    terminal.close()
    assert (done.code, done.stderr) == (0, "")
    assert bool(COLOR.search(terminal.drawn)) is colored
    assert terminal.drawn.count("▀") == (20 * 5 if colored else 0)
    url = "".join(terminal.shown.split("▀")[-1].split())
    assert url.startswith("http://127.0.0.1:")


def test_other_files_are_printed_as_urls(dashscope: CommandLine, terminal: Terminal) -> None:
    dashscope("run", "test/file", stdout=terminal.end, env={"TERM": "xterm-256color"})
    terminal.close()
    assert terminal.drawn.startswith("http://")


def test_a_list_is_a_table_on_a_terminal(dashscope: CommandLine, terminal: Terminal) -> None:
    env = {"TERM": "xterm", "COLUMNS": "60"}
    dashscope("models", "list", "--limit", "all", stdout=terminal.end, env=env)
    terminal.close()
    heading, *rows = terminal.shown.replace("\r", "").splitlines()
    assert heading.split() == ["model", "runs", "visibility", "description"]
    assert all(len(row) <= 60 for row in rows)
    assert any(row.startswith("dashscope/hello-world ") for row in rows)
    assert any("…" in row for row in rows)


def test_ids_and_urls_are_not_wrapped_on_a_narrow_terminal(
    dashscope: CommandLine, terminal: Terminal, client: Client
) -> None:
    version = client.models.get("dashscope", "markov").latest_version
    assert version is not None
    env = {"TERM": "xterm", "COLUMNS": "40"}
    dashscope("versions", "list", "dashscope/markov", stdout=terminal.end, env=env)
    dashscope("models", "get", "dashscope/markov", stdout=terminal.end, env=env)
    terminal.close()
    assert terminal.shown.count(version.id) == 2
    assert re.search(r"^description +Generates text", terminal.shown, re.MULTILINE)


def test_json_on_a_terminal_is_json_only(dashscope: CommandLine, terminal: Terminal) -> None:
    env = {"TERM": "xterm-256color"}
    dashscope("models", "get", "test/echo", "--json", stdout=terminal.end, env=env)
    terminal.close()
    assert json.loads(terminal.drawn)["name"] == "echo"


def test_streamed_text_is_printed_immediately(dashscope: CommandLine, terminal: Terminal) -> None:
    program = dashscope.start(
        *("stream", "dashscope/countdown", "start=1", "delay=30"), stdout=terminal.end
    )
    wait_until(lambda: "1" in terminal.shown)
    program.send(signal.SIGINT)
    assert program.finish().code == 130
