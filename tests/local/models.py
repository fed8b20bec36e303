"""Models for the tests of the server. Each misbehaves in one way or shows one feature."""

import collections
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from PIL import Image
from PIL.Image import Image as PillowImage
from pydantic import BaseModel, Field

from dashscope.local import Weights, model


@model("test/sleep", concurrency=8)
def sleep(seconds: float = 60.0) -> str:
    print("sleeping", flush=True)
    time.sleep(seconds)
    return "slept"


@model("test/pid")
def pid(seconds: float = 0.0) -> int:
    print(os.getpid())
    time.sleep(seconds)
    return os.getpid()


@model("test/echo", concurrency=2)
def echo(value: Any = None) -> Any:
    return value


@model("test/typed")
def typed(
    text: str,
    count: Annotated[int, Field(ge=1, le=10, description="How many.")] = 3,
    ratio: float = 0.5,
    flag: bool = False,
    size: Literal["small", "large"] = "small",
    tags: list[str] | None = None,
    schema: str = "named like a method of pydantic",
) -> dict[str, Any]:
    """Takes one of each.

    Args:
        text: What to take,
            in two lines.
        ratio: A number.
    """
    return {"text": text, "count": count, "ratio": ratio, "flag": flag, "size": size, "tags": tags}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


@model("test/rich")
def rich(day: date, color: Color, point: Point) -> dict[str, Any]:
    return {
        "day": day,
        "next": day.replace(year=day.year + 1),
        "color": color,
        "types": [type(day).__name__, type(color).__name__, type(point).__name__],
        "point": point,
    }


@model("test/fails")
def fails(message: str = "no luck") -> str:
    print("about to fail")
    raise RuntimeError(message)


@model("test/fails-oddly")
def fails_oddly(how: Literal["long", "surrogate", "unprintable"]) -> str:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise TypeError

    match how:
        case "long":
            raise RuntimeError("x" * 3_000_000)
        case "surrogate":
            raise RuntimeError("a\udc80b")
        case "unprintable":
            raise UnprintableError


@model("test/ends")
def ends(how: str, after_parts: int = 0) -> Iterator[str]:
    for number in range(after_parts):
        yield str(number)
    match how:
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit("left")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case _:
            yield "still here"


@model("test/logs")
def logs(lines: int = 1) -> str:
    print("from print")
    sys.stderr.write("from stderr\n")
    os.write(1, b"from the file descriptor\n")
    subprocess.run(["echo", "from a child"], check=True)
    for number in range(lines):
        print(f"line {number}")
    return "logged"


@model("test/parts")
def parts(count: int = 3, delay: float = 0.0) -> Iterator[str]:
    for number in range(count):
        print(f"part {number}")
        yield f"{number} "
        time.sleep(delay)


@model("test/pauses")
def pauses(size: int) -> Iterator[str]:
    """Yields a long text, and does not end."""
    yield "x" * size
    time.sleep(60)


@model("test/released")
def released(file: str, count: int = 3, percent: bool = False) -> Iterator[str]:
    """Like `parts`, but each part waits until the file has one byte for it."""
    for number in range(count):
        while not (path := Path(file)).exists() or path.stat().st_size <= number:
            time.sleep(0.01)
        part = f"part {number}"
        print(f"{100 * (number + 1) // count:3}%|{part}| {number}/{count}" if percent else part)
        yield f"{number} "


@model("test/numbers")
def numbers(count: int = 3) -> Iterator[int]:
    yield from range(count)


@model("test/async")
async def asynchronous(text: str) -> str:
    return text[::-1]


@model("test/async-parts")
async def async_parts(count: int = 2) -> AsyncIterator[str]:
    for number in range(count):
        yield str(number)


@model("test/image")
def image(width: int = 4) -> PillowImage:
    return Image.new("RGB", (width, 2), "red")


@model("test/read")
def read(file: Path, others: list[Path] | None = None) -> dict[str, Any]:
    return {
        "text": file.read_text(),
        "suffix": file.suffix,
        "others": [other.read_text() for other in others or []],
    }


@model("test/whole")
def whole(
    count: int,
    sizes: list[int] | list[list[int]] | dict[str, int] | None = None,
    point: Point | None = None,
) -> list[Any]:
    return [count, sizes, point and point.x]


@model("test/named")
def named(file: Path, how: str) -> list[Path]:
    link = file.with_name("link.txt")
    link.symlink_to(file)
    # Bytes that are not UTF-8.
    odd = file.with_name("odd-\udcff.txt")
    odd.symlink_to(file)
    return {"twice": [file, file], "linked": [link, file], "link": [link], "odd": [odd]}[how]


@model("test/rewritten")
def rewritten(file: Path) -> Iterator[Path]:
    for number in range(3):
        file.write_text(f"frame {number}")
        yield file


@model("test/stays", concurrency=2)
def stays(file: Path, how: Literal["writing", "deep", "link", "file", "closed"] = "writing") -> str:
    """Leaves something in the job's folder that is hard to delete."""
    job = file.parent
    match how:
        case "writing":
            leave_a_thread(file)
        case "deep":
            # Deeper than Python's recursion limit, and with a path that is too long.
            os.chdir(job)
            for _ in range(1200):
                Path("folder").mkdir()
                os.chdir("folder")
            os.chdir("/")
        case "link" | "file":
            file.unlink()
            job.rmdir()
            job.symlink_to("/tmp") if how == "link" else job.write_text("")
        case "closed":
            (job / "folder").mkdir(mode=0)
            job.chmod(0)
    return "done"


def leave_a_thread(file: Path) -> None:
    """Leave a read-only folder, and a thread that keeps writing."""
    folder = file.parent / "read-only"
    folder.mkdir()
    (folder / "file").write_text("")
    folder.chmod(0o500)

    def write() -> None:
        for number in itertools.count():
            with contextlib.suppress(OSError):
                file.parent.mkdir(exist_ok=True)
                file.with_name(f"more-{number}").write_text("")
            time.sleep(0.001)

    threading.Thread(target=write, daemon=True).start()


@model("test/files")
def files(text: str) -> dict[str, Any]:
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    path = folder / f"dashscope-test-{os.getpid()}.txt"
    path.write_text(text)
    return {"file": path, "list": [path, path]}


@model("test/unwritable")
def unwritable(what: str) -> Any:
    return {
        "object": object(),
        "nan": float("nan"),
        "missing": Path("/nonexistent/file"),
        "surrogate": "a\udc80b",
    }[what]


@model("test/memory", memory=512 * 1024 * 1024)
def memory() -> int:
    kept = []
    while True:
        kept.append(bytearray(32 * 1024 * 1024))


@model("test/spins")
def spins() -> str:
    while True:
        pass


@model("test/holds")
def holds() -> None:
    """Run C code that never releases the GIL."""
    collections.deque(itertools.repeat(None), maxlen=0)


@model("test/forks")
def forks(wait: float = 0.0) -> str:
    child = os.fork()
    if child == 0:
        time.sleep(wait)
        return "from the child"
    return f"parent of {child}"


@model("test/daemons")
def daemons(file: str, seconds: float) -> str:
    """Start a process in a separate session, and one whose parent has exited."""
    child = f"import os, time; print(os.getpid(), file=open({file!r}, 'a')); time.sleep({seconds})"
    start = "import subprocess, sys; subprocess.Popen({}, start_new_session=True)"
    subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    subprocess.Popen([sys.executable, "-c", start.format([sys.executable, "-c", child])])
    time.sleep(seconds)
    return "done"


@model("test/floods")
def floods(megabytes: int = 100) -> str:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)
    sys.stdout.write("the last line\n")
    return "flooded"


def train(text: Path, times: int = 1) -> Path:
    print("training")
    kept = text.with_name("weights.txt")
    kept.write_text(text.read_text() * times)
    return kept


@model("test/trainable", train=train)
def trainable(prompt: str = "", weights: Weights = None) -> str:
    return prompt + (weights.read_text() if weights else "untrained")


@model("test/private", visibility="private")
def private(text: str = "") -> str:
    return text


@model("test/forgotten", visibility="private")
def forgotten(text: str = "") -> str:
    return text


@model("test/fails-late")
def fails_late() -> Iterator[str]:
    yield "so far so good"
    raise RuntimeError("too late")


@model("test/huge")
def huge() -> str:
    return "x" * 70 * 1024 * 1024


def slow_train() -> None:
    time.sleep(1)


@model("test/slow-train", train=slow_train)
def slow_trained() -> str:
    return ""


@model("test/private-image", visibility="private")
def private_image(seconds: float = 0.0) -> PillowImage:
    time.sleep(seconds)
    return Image.new("RGB", (2, 2), "red")
