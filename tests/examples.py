"""Run the examples of a Markdown file in order."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen
from markdown_it import MarkdownIt
from PIL import Image

import dashscope
import dashscope.testing.server
from dashscope import AsyncClient, Client
from dashscope.local import LocalServer
from tests.cli.command import run_here

ROOT = Path(__file__).parents[1]
MARKDOWN = MarkdownIt("commonmark").enable("table")
SECONDS = 240
"""The time limit of an example, even on a busy machine."""

STAYS = re.compile(r"^(\.venv/bin/)?dashscope (serve|mcp|webhooks listen)", re.MULTILINE)
"""Commands that run until they are stopped. Other tests check them."""
INSTALLS = re.compile(r"^.*pip install .*?( && (?=\.venv/bin/)|$)", re.MULTILINE)
"""Commands that install something. `.ci/run` runs the command of the README."""
COMMAND = re.compile(r"(?:cat (\S+) \| )?dashscope ([^|$;&<>]+?)(?: > (\S+)| \| (.+))?")
"""A line that calls `dashscope` once. It may read a file, and write a file or a pipe."""
EVALUATED = re.compile(r'eval "\$\(dashscope (.+)\)"')
"""A line that runs the commands that `dashscope` prints."""


@frozen
class Example:
    """A block of code in a Markdown file.

    Blocks marked `python` and `sh` are run, and other blocks (`text`, `console`, `yaml`) are not.
    """

    path: Path
    line: int
    language: str
    code: str

    @property
    def is_test(self) -> bool:
        """Whether the block contains tests or fixtures of pytest."""
        return (
            re.search(r"^(async )?def test_|@pytest\.fixture", self.code, re.MULTILINE) is not None
        )

    @property
    def is_program(self) -> bool:
        """Whether the block is a whole program, with an event loop or a local server of its own."""
        return re.search(r"asyncio\.run\(|^if __name__", self.code, re.MULTILINE) is not None

    @property
    def script(self) -> str:
        """Return the commands of a shell example that end by themselves and install nothing."""
        if STAYS.search(self.code) or "pytest" in self.code:
            return ""
        return INSTALLS.sub("", self.code).replace(".venv/bin/dashscope", "dashscope").strip()


def examples(path: Path) -> list[Example]:
    """Return the examples of a Markdown file."""
    return [
        Example(path, token.map[0] + 2, token.info, token.content)
        for token in MARKDOWN.parse(path.read_text(encoding="utf-8"))
        if token.type == "fence" and token.map is not None and token.info in ("python", "sh")
    ]


def code_of_tests(path: Path) -> list[str]:
    """Return the examples of a Markdown file that are tests."""
    return [
        example.code
        for example in examples(path)
        if example.language == "python" and example.is_test
    ]


def rows(path: Path) -> list[tuple[str, str]]:
    """Return the rows of a guide's table of calls: the other client's call and ours."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^\| (.*?) \| `(.*?)` \|$", text, re.MULTILINE)
    assert len(found) > 20
    return [row for row in found if not row[1].startswith("pip ")]


def run_examples(path: Path, server: LocalServer) -> list[str]:
    """Run the examples of a Markdown file in the current folder.

    Fragments share one event loop, one client and their variables. Programs of the README run in
    processes of their own, and programs of the guides in this process.

    Returns:
        What the programs printed, one text for each.
    """
    namespace = {**names(server, path.read_text(encoding="utf-8")), "__name__": "__main__"}
    run_program = start_program if path.stem == "README" else run_program_here

    async def run() -> list[str]:
        printed = []
        async with AsyncClient() as client:
            for example in examples(path):
                namespace["client"] = client  # an example may have replaced the variable
                try:
                    if example.language == "sh":
                        run_script(example.script)
                    elif example.is_program:
                        printed.append(await asyncio.to_thread(run_program, example.code))
                    elif not example.is_test:
                        await run_fragment(example, namespace)
                except BaseException as error:
                    error.add_note(f"The example is in {path}, line {example.line}.")
                    raise
        return printed

    return asyncio.run(run())


@cache
def photo() -> bytes:
    """Return the picture that the examples use."""
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def prepare_files() -> None:
    """Write the files that the examples use."""
    Path("photo.png").write_bytes(photo())
    Path("book.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 20)


def prepare_folder() -> None:
    """Write the files that the examples of a document use."""
    prepare_files()
    Path("tests").symlink_to(ROOT / "tests")
    Path("bin").mkdir()
    Path("bin/dashscope").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dashscope "$@"\n')
    Path("bin/dashscope").chmod(0o755)


def run_script(script: str) -> None:
    """Run a shell script that calls `dashscope`.

    Lines that call `dashscope` once run it in this process, which takes milliseconds.
    """
    if not script:
        return
    shutil.rmtree("out", ignore_errors=True)
    for line in script.splitlines():
        if match := COMMAND.fullmatch(line):
            stdin, command, file, pipe = match.groups()
            done = run_here(command, stdin=Path(stdin).read_bytes() if stdin else b"")
            code, stdout, stderr = done.code, done.stdout, done.stderr
            if file:
                Path(file).write_text(stdout, encoding="utf-8")
            if pipe:
                code, stdout, stderr = run_shell(pipe, stdout)
        elif match := EVALUATED.fullmatch(line):
            code, stdout, stderr = run_shell(run_here(match[1]).stdout)
        else:
            code, stdout, stderr = run_shell(line)
        assert code == 0, f"{line}: {stderr}"
        assert stdout + stderr or ">" in line or "eval" in line
        assert "error" not in stderr


def run_shell(line: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a line of a shell script. Return its exit code, stdout and stderr."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=environment(),
    )
    return done.returncode, done.stdout, done.stderr


def run_program_here(code: str) -> str:
    """Run a Python program in this process and return its output."""
    Path("program.py").write_text(code)
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        runpy.run_path("program.py", run_name="__main__")
    assert stderr.getvalue() == ""
    return stdout.getvalue().strip()


def start_program(code: str) -> str:
    """Run a Python program in a process of its own and return its output."""
    Path("program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=environment(),
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Return the environment of a process that runs an example."""
    path = f"{Path('bin').absolute()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}


async def run_fragment(example: Example, namespace: dict[str, Any]) -> None:
    """Run code that may `await`. Tracebacks show the line in the Markdown file."""
    source = "\n" * (example.line - 1) + example.code
    await evaluate(source, str(example.path), namespace)


async def evaluate(source: str, filename: str, namespace: dict[str, Any]) -> None:
    """Run code that may `await`."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile(source, filename, "exec", flags=flags), namespace)
    if result is not None:
        await result


def run_alone(code: str, namespace: dict[str, Any]) -> None:
    """Run code that may `await`, with a new event loop and client."""

    async def run() -> None:
        async with AsyncClient() as client:
            await evaluate(code, "<example>", {**namespace, "client": client})

    asyncio.run(run())


def check_tests(tests: list[str], pytester: pytest.Pytester) -> None:
    """Check that the tests among the examples pass, while recording and while replaying."""
    files = {f"test_{number}": code for number, code in enumerate(tests)}
    pytester.makepyfile(**files)
    replayed = [f"{name}.py" for name, code in files.items() if "dashscope_traffic" in code]
    for option, paths in (
        ("--dashscope-record", [f"{name}.py" for name in files]),
        ("-q", replayed),
    ):
        assert paths
        done = pytester.runpytest_inprocess("-p", "dashscope.testing", option, *paths)
        outcomes = done.parseoutcomes()
        assert set(outcomes) == {"passed"}, outcomes
        assert outcomes["passed"] >= len(paths)


def names(server: LocalServer, code: str) -> dict[str, Any]:
    """Return the variables that an example assumes.

    Args:
        server: The server that the example uses.
        code: The example. What it does not name is not created.
    """
    return {
        **{name: getattr(dashscope, name) for name in dashscope.__all__},
        "asyncio": asyncio,
        "httpx": httpx,
        "Path": Path,
        "AsyncClient": AsyncClient,
        "Client": Client,
        "model": "dashscope/hello-world",
        "input": {"text": "Alice"},
        "version_id": version_id(server.base_url, "hello-world"),
        "markov_version_id": version_id(server.base_url, "markov"),
        "suppress": suppress,
        "data_uri": "data:image/png;base64," + base64.b64encode(photo()).decode(),
        **created(server.base_url, set(re.findall(r"[\w-]+", code))),
    }


@cache
def version_id(base_url: str, name: str) -> str:
    """Return the id of the latest version of a model of the server."""
    with Client(base_url=base_url) as client:
        version = client.models.get("dashscope", name).latest_version
    assert version is not None
    return version.id


def created(base_url: str, words: set[str]) -> dict[str, Any]:
    """Create what an example names, and return its variables.

    Args:
        base_url: The address of the server.
        words: The words of the example.
    """
    variables: dict[str, Any] = {}
    with Client(base_url=base_url) as client:
        if words & {"my-style", "training", "trainings"}:
            with suppress(dashscope.ConflictError):
                client.models.create("local", "my-style", visibility="private", hardware="cpu")
        if "my-deployment" in words:
            with suppress(dashscope.ConflictError):
                client.deployments.create(
                    name="my-deployment",
                    model="dashscope/hello-world",
                    version=version_id(base_url, "hello-world"),
                    hardware="cpu",
                    min_instances=0,
                    max_instances=1,
                )
        if "prediction" in words:
            variables["prediction"] = client.models.predictions.create(
                "dashscope", "countdown", input={"start": 1, "delay": 0}
            )
        if "training" in words:
            variables["training"] = client.trainings.create(
                "dashscope",
                "markov",
                version_id(base_url, "markov"),
                destination="local/my-style",
                input={"text": Path("book.txt")},
            )
        if "slug" in words:
            variables["slug"] = client.collections.list()[0].slug
        if words & {"file", "url", "owner", "expiry", "signature"}:
            file = client.files.create(Path("photo.png"))
            signed = httpx.URL(file.raw["urls"]["download"]).params
            assert file.urls is not None
            variables |= {
                "file": file,
                "url": file.urls.get,
                "owner": signed["owner"],
                "expiry": int(signed["expiry"]),
                "signature": signed["signature"],
            }
    return variables
