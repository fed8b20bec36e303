"""What a command says: results on stdout, everything else on stderr.

With `--json` stdout has one JSON value a line and nothing else. Colour, progress and pictures are
for terminals only.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from dashscope import Prediction, Training
from dashscope._common.json import is_mapping

# What others wrote into a description, say, must not move our cursor.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal:
    """The two outputs of a command, and how much it says."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def is_for_people(self) -> bool:
        """Does somebody look at stdout?"""
        return self.out.is_terminal and not self.as_json

    @property
    def shows_progress(self) -> bool:
        """Does somebody look at stderr, and want to see how it goes?"""
        return self.err.is_terminal and not self.quiet

    def line(self, value: Any) -> None:
        """A JSON value in a line of its own."""
        click.echo(json_line(value))

    def text(self, text: str) -> None:
        """Text as it is; it ends its line."""
        click.echo(writable(text), nl=not text.endswith("\n"))

    def part(self, text: str) -> None:
        """A piece of text, seen at once."""
        click.echo(writable(text), nl=False)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A sentence for people, unless they want it quiet."""
        if not self.quiet:
            click.echo(writable(text), err=True)

    @contextmanager
    def status(self, what: str, how: str) -> Generator[Status]:
        """On a terminal, a line that says how something stands, gone at the end."""
        if not self.shows_progress:
            yield Status()
            return
        with self.err.status(Text(f"{what}: {how}")) as line:
            yield Status(what, line)


class Status:
    """A line that says how something stands; where nobody looks, it is none."""

    def __init__(self, what: str = "", line: Any = None) -> None:
        self._what = what
        self._line = line

    @property
    def tell(self) -> Any:
        """A function to be called with a prediction or training, or `None`."""
        return None if self._line is None else self._tell

    def bytes_sent(self, size: int | None) -> Any:
        """A function to be called with the bytes that were sent, of `size`, or `None`."""
        if self._line is None:
            return None

        def sent(count: int) -> None:
            share = f"{count / size:.0%}" if size else f"{count} bytes"
            self._line.update(Text(f"{self._what}: {share} sent"))

        return sent

    def _tell(self, one: Prediction | Training) -> None:
        bar = one.progress
        share = "" if bar is None else f" {bar.percentage:.0%}"
        self._line.update(Text(f"{self._what}: {one.status}{share} ({one.id})"))


def counted(count: int, noun: str) -> str:
    """How many there are of something: `1 row`, `2 rows`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def json_line(value: Any) -> str:
    """`value` as JSON in one line."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # NaN and the infinities are in words
        value = json.loads(json.dumps(value, default=_plain), parse_constant=str)
        text = json.dumps(value, ensure_ascii=False)
    return text if text == writable(text) else json.dumps(value, default=_plain)


def writable(text: str) -> str:
    """`text` as UTF-8 can say it: JSON from a server may hold halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


def printable(text: str) -> str:
    """`text` without what would command a terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", writable(text))


def _plain(value: Any) -> Any:
    """What JSON has no form for: files as a model's input can have them, the rest in words."""
    if is_mapping(value):
        return dict(value)
    if isinstance(value, bytes):
        return f"data:application/octet-stream;base64,{base64.b64encode(value).decode()}"
    return str(value)
