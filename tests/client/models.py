"""Models for the local server of the tests, each with one behavior."""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from dashscope.local import model


@model(
    "test/echo",
    readme="# echo\n",
    collections=("tests",),
    examples=({"input": {"value": "a"}, "output": "a"},),
    concurrency=2,
)
def echo(value: Any = None) -> Any:
    """Return the input.

    Args:
        value: Any JSON.
    """
    return value


@model("test/kinds", concurrency=1)
def kinds(
    text: str | None = None,
    choice: Literal["1", "2"] = "1",
    whole: int | None = None,
    real: float | None = None,
    flag: bool | None = None,
    items: list[int] | None = None,
    anything: Any = None,
) -> dict[str, Any]:
    """Return the inputs that differ from their defaults."""
    given = {
        "text": text,
        "choice": choice if choice != "1" else None,
        "whole": whole,
        "real": real,
        "flag": flag,
        "items": items,
        "anything": anything,
    }
    return {name: value for name, value in given.items() if value is not None}


@model("test/texts", concurrency=1)
def texts(
    text0: str = "",
    text1: str = "",
    text2: str = "",
    text3: str = "",
    text4: str = "",
    text5: str = "",
    text6: str = "",
    text7: str = "",
) -> list[str]:
    """Return the texts that are not empty."""
    given = [text0, text1, text2, text3, text4, text5, text6, text7]
    return [text for text in given if text]


@model("test/slow", concurrency=8)
def slow(seconds: float, tag: str = "") -> str:
    """Sleep, then return the tag."""
    time.sleep(seconds)
    return tag


@model("test/fail", concurrency=2)
def fail(message: str) -> str:
    """Print a line and fail."""
    print("about to fail")
    raise ValueError(message)


@model("test/crash", concurrency=1)
def crash(code: int = 7) -> str:
    """Exit the process."""
    print("about to crash", flush=True)
    os._exit(code)


@model("test/steps", concurrency=4)
def steps(total: int = 4, pause: float = 0.2) -> int:
    """Print a progress bar like `tqdm`."""
    for done in range(1, total + 1):
        time.sleep(pause)
        share = done * 100 // total
        bar = "█" * (share // 10)
        sys.stderr.write(f"\r{share:3}%|{bar:<10}| {done}/{total} [00:01<00:00, 3.00it/s]")
    time.sleep(pause)
    return total


@model("test/words", concurrency=2)
def words(count: int = 3) -> Iterator[str]:
    """Yield words, which are joined to one text."""
    for number in range(1, count + 1):
        yield f"word{number} "


@model("test/numbers", concurrency=2)
def numbers(count: int = 3) -> Iterator[int]:
    """Yield numbers."""
    yield from range(1, count + 1)


@model("test/file", concurrency=2)
def file(content: str = "content", name: str = "result.txt", times: int = 1) -> Path:
    """Return a file with this content."""
    return _written(name, content * times)


@model("test/pictures", concurrency=1)
def pictures(count: int = 2) -> list[Path]:
    """Return files with equal names."""
    return [_written("picture.txt", f"picture {number}") for number in range(1, count + 1)]


@model("test/album", concurrency=1)
def album(title: str = "album") -> dict[str, Any]:
    """Return files in a nested output."""
    return {
        "title": title,
        "cover": _written("cover.txt", "the cover"),
        "pages": [{"scan": _written("scan.txt", "the scan"), "number": 1}],
    }


@model("test/measure", concurrency=2)
def measure(document: Path) -> dict[str, Any]:
    """Return the size, hash and suffix of a file."""
    content = document.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"size": len(content), "sha256": digest, "suffix": document.suffix}


@model("test/files", concurrency=1)
def files(documents: list[Path], title: str = "") -> dict[str, Any]:
    """Return the size of each file."""
    return {"sizes": [len(document.read_bytes()) for document in documents], "title": title}


@model("test/hidden", visibility="private", concurrency=1)
def hidden() -> str:
    """A private model."""
    return "hidden"


def _written(name: str, content: str) -> Path:
    path = Path(tempfile.mkdtemp(), name)
    path.write_text(content)
    return path
