"""Writing to stdout and stderr.

Results go to stdout, everything else to stderr. With `--json`, stdout contains one JSON value per
line and nothing else. Colors, progress and pictures are for terminals only.

Pipes and files receive text unchanged, encoded as UTF-8. On a terminal, characters that could
control it are shown as escapes, because text from a server or a model is not ours.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, TextIO, cast

from rich.console import Console
from rich.text import Text

from dashscope import FileError, Prediction, Training
from dashscope._common.json import is_mapping
from dashscope._common.logging import logger

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1
    "\u2028\u2029"  # line and paragraph separator
    "\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\ud800-\udfff"  # lone surrogates
    "]"
)


class Terminal:
    """The outputs of a command, and how much it prints."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        if as_json:
            _reconfigure(sys.stdout, encoding="utf-8")

    @property
    def is_for_people(self) -> bool:
        """True if stdout is a terminal and shows text, not JSON."""
        return self.out.is_terminal and not self.as_json

    @property
    def shows_progress(self) -> bool:
        """True if stderr is a terminal and the user did not ask for quiet."""
        return self.err.is_terminal and not self.quiet

    def line(self, value: Any) -> None:
        """Print a JSON value on a separate line."""
        write(json_text(value) + "\n")

    def text(self, text: str) -> None:
        """Print text, and end the line if the text does not."""
        write(text if text.endswith("\n") else text + "\n")

    def part(self, text: str) -> None:
        """Print a piece of text without ending the line."""
        write(text)

    def note(self, text: str) -> None:
        """Print a sentence to stderr, unless the user asked for quiet."""
        if not self.quiet:
            write(text + "\n", err=True)

    @contextmanager
    def status(self, what: str, how: str) -> Generator[Status]:
        """Show a status line on a terminal while the block runs."""
        if not self.shows_progress:
            yield Status()
            return
        with self.err.status(Text(escaped(f"{what}: {how}"))) as line:
            yield Status(what, line)


class Status:
    """A status line. Without a terminal, it shows nothing."""

    def __init__(self, what: str = "", line: Any = None) -> None:
        self._what = what
        self._line = line

    @property
    def on_progress(self) -> Any:
        """A callback that takes a prediction or training, or `None` without a terminal."""
        return None if self._line is None else self._show

    def bytes_sent(self, size: int | None) -> Any:
        """A callback that takes the number of bytes sent of `size`, or `None`."""
        if self._line is None:
            return None

        def sent(count: int) -> None:
            share = f"{count / size:.0%}" if size else f"{count} bytes"
            self._update(f"{share} sent")

        return sent

    def _show(self, one: Prediction | Training) -> None:
        bar = one.progress
        share = "" if bar is None else f" {bar.percentage:.0%}"
        self._update(f"{one.status}{share} ({one.id})")

    def _update(self, how: str) -> None:
        self._line.update(Text(escaped(f"{self._what}: {how}")))


def prepare_streams() -> None:
    """Make sure that stdout and stderr can print any text.

    Pipes and files are UTF-8. A terminal keeps its encoding and shows replacement characters for
    what its encoding does not have.
    """
    for stream in (sys.stdout, sys.stderr):
        encoding = stream.encoding if stream.isatty() else "utf-8"
        _reconfigure(stream, encoding=encoding, errors="replace")
    for handler in logger.handlers:  # of DASHSCOPE_LOG
        stream = getattr(handler, "stream", None)
        if stream is not None and stream.isatty():
            handler.setFormatter(_EscapingFormatter(handler.formatter))


def _reconfigure(stream: TextIO, **options: str) -> None:
    if isinstance(stream, TextIOWrapper):
        cast("Any", stream).reconfigure(**options)


class _EscapingFormatter(logging.Formatter):
    """Formats as another formatter does, safely for a terminal."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return escaped(self._inner.format(record))


def write(text: str, *, err: bool = False) -> None:
    """Write text to stdout or stderr at once. On a terminal, escape what could control it.

    Raises:
        FileError: The stream cannot be written, for example because the disk is full.
        BrokenPipeError: The reader of a pipe has closed it.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(escaped(text) if stream.isatty() else writable(text))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard(stream)
        name = "stderr" if err else "stdout"
        raise FileError(f"{name} cannot be written: {error.strerror or error}") from error


def _discard(stream: TextIO) -> None:
    """Send what the stream still buffers nowhere. Otherwise the exit of Python fails on it."""
    with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 row`, `2 rows`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON: on one line, unless `indent` is given.

    Characters that could control a terminal, and lone surrogates, are JSON escapes.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, indent=indent)
    except ValueError:  # JSON has no NaN and no infinity: they become strings
        value = json.loads(json.dumps(value, default=_plain), parse_constant=str)
        text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escaped(text: str) -> str:
    """Return `text` with the characters that could control a terminal as escapes."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def writable(text: str) -> str:
    """Return `text` without lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any) -> Any:
    """Convert a value that JSON has no type for. Bytes become a data URI."""
    if is_mapping(value):
        return dict(value)
    if isinstance(value, bytes):
        return f"data:application/octet-stream;base64,{base64.b64encode(value).decode()}"
    return str(value)
