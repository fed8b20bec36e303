"""Models for the tests of integrations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dashscope.local import model


@model("test/forever", concurrency=4)
def forever() -> str:
    """Runs until somebody cancels it."""
    time.sleep(600)
    return "never"


@model("test/silence", concurrency=4)
def silence(words: int = 1) -> Iterator[str]:
    """Says something, and then nothing until somebody cancels it."""
    for number in range(words):
        yield f"word{number} "
    time.sleep(600)
    yield "never"


@model("test/flood", concurrency=2)
def flood(parts: int, size: int) -> Iterator[str]:
    """Gives a lot, as fast as it can."""
    for number in range(parts):
        yield f"{number:06}" + "x" * (size - 6)


@model("test/half", concurrency=1)
def half() -> Iterator[str]:
    """Fails half-way."""
    print("so far, so good")
    yield "one\ntwo"
    raise ValueError("no three")


@model("test/file", concurrency=1)
def file(name: str = "result.txt", size: int = 10, letter: str = "a") -> Path:
    """Makes a file."""
    path = Path(tempfile.mkdtemp(), name)
    path.write_text(letter * size)
    return path


@model("test/data", concurrency=1)
def data(uri: str) -> str:
    """Gives a URI back."""
    return uri
