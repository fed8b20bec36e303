"""`progress_bar()`: what users see of a batch."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.console import Console

from dashscope import BatchProgress, ConfigurationError, progress_bar
from tests.batch.reading import REF, read, rows
from tests.servers.batch_service import Service


def progress(**counts: Any) -> BatchProgress:
    """Return a progress value with these counts."""
    blank = {
        "total": 10,
        "queued": 0,
        "running": 0,
        "done": 0,
        "failed": 0,
        "skipped": 0,
        "rate": 0.0,
        "elapsed": 1.0,
        "remaining": None,
    }
    return BatchProgress(**{**blank, **counts})


def drawn(*states: BatchProgress, terminal: bool, **options: Any) -> str:
    """Return what a bar draws for these states."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    bar = progress_bar("Rows", console=console, **options)
    for state in states:
        bar(state)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_all_counts() -> None:
    text = drawn(
        progress(done=3, failed=1, running=2, rate=2.0),
        progress(done=9, failed=1, rate=2.5, is_over=True),
        terminal=True,
    )
    assert "4/10, 1 failed, 2 running, 2.0/s, 0:00:03 left" in text
    assert "10/10, 1 failed, 2.5/s" in text
    assert text.endswith("\x1b[?25h")  # the cursor is visible again


def test_without_a_terminal_one_line_is_printed() -> None:
    text = drawn(progress(), progress(done=10, is_over=True), terminal=False)
    assert text.count("\n") == 1
    assert "10/10" in text


def test_an_unknown_total_can_be_passed() -> None:
    state = progress(total=None, done=4, is_over=True)
    assert "Rows" in drawn(state, terminal=False)
    assert "4/" not in drawn(state, terminal=False)
    assert "4/8" in drawn(state, terminal=False, total=8)


async def test_the_bar_stops_with_the_batch(client: Any, service: Service) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bar = progress_bar(console=console)
    for _ in range(2):
        await read(client.map(REF, list(rows(3)), progress=bar))
    assert isinstance(console.file, io.StringIO)
    assert "3/3" in console.file.getvalue()


def test_without_rich_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ConfigurationError, match=r"pip install .*\[cli\]"):
        progress_bar()


def test_output_to_a_pipe_is_not_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    bar = progress_bar(console=console)
    bar(progress(running=1))
    print("a result")
    bar(progress(is_over=True))
    assert capsys.readouterr().out == "a result\n"
    assert isinstance(console.file, io.StringIO)
    assert "a result" not in console.file.getvalue()
