"""Models for the tests of integrations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dashscope.local import model


@model("test/forever", concurrency=4)
def forever() -> str:
    """Run until canceled."""
    time.sleep(600)
    return "never"


@model("test/silence", concurrency=4)
def silence(words: int = 1) -> Iterator[str]:
    """Yield one text, then wait until canceled."""
    for number in range(words):
        yield f"word{number} "
    time.sleep(600)
    yield "never"


@model("test/flood", concurrency=2)
def flood(parts: int, size: int) -> Iterator[str]:
    """Yield a large output as fast as possible."""
    for number in range(parts):
        yield f"{number:06}" + "x" * (size - 6)


@model("test/half", concurrency=1)
def half() -> Iterator[str]:
    """Fail after the first output."""
    print("so far, so good")
    yield "one\ntwo"
    raise ValueError("no three")


@model("test/file", concurrency=1)
def file(name: str = "result.txt", size: int = 10, letter: str = "a") -> Path:
    """Return a file."""
    path = Path(tempfile.mkdtemp(), name)
    path.write_text(letter * size)
    return path


@model("test/data", concurrency=1)
def data(uri: str) -> str:
    """Return a URI."""
    return uri
