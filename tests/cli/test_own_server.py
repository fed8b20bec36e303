"""Without a configured address and a server at the default one, `run` starts a server."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from dashscope.local import LocalServer
from tests.cli.command import CommandLine

NOTE = "DASHSCOPE_BASE_URL is not set. Started a local server at http://127.0.0.1:"


def test_the_first_command_of_the_readme_works(without_address: CommandLine) -> None:
    command = (*without_address.itself, "run", "dashscope/hello-world", "text=Alice")
    program = without_address.start_python(*command)
    done = program.finish()
    assert (done.code, done.stdout) == (0, "hello Alice\n")
    assert done.stderr.startswith(NOTE)
    assert done.stderr.count("\n") == 1
    assert program.remaining_children() == []
    assert list(without_address.temporary.iterdir()) == []


def test_the_second_command_of_the_readme_works(without_address: CommandLine, photo: Path) -> None:
    done = without_address(
        "run", "dashscope/thumbnail", f"image=@{photo.name}", "width=64", "-o", "out/"
    )
    assert (done.code, done.stdout) == (0, "out/thumbnail.png\n")
    with Image.open(without_address.folder / "out/thumbnail.png") as image:
        assert (image.format, image.size) == ("PNG", (64, 32))


def test_quiet_does_not_mention_the_server(without_address: CommandLine) -> None:
    done = without_address("run", "-q", "dashscope/hello-world", "text=Alice")
    assert (done.code, done.stdout, done.stderr) == (0, "hello Alice\n", "")


def test_a_url_of_a_temporary_server_gets_a_hint(without_address: CommandLine, photo: Path) -> None:
    done = without_address("run", "dashscope/thumbnail", f"image=@{photo.name}")
    assert done.code == 0
    assert done.stdout.startswith("http://127.0.0.1:")
    assert "To save it, pass -o FOLDER/." in done.stderr


def test_an_error_stops_the_server(without_address: CommandLine) -> None:
    program = without_address.start("run", "dashscope/hello-world")
    done = program.finish()
    assert (done.code, done.stdout) == (1, "")
    assert "input.text is required" in done.stderr
    assert program.remaining_children() == []
    assert list(without_address.temporary.iterdir()) == []


def test_a_configured_address_starts_no_server(dashscope: CommandLine, server: LocalServer) -> None:
    before = len(server.requests)
    done = dashscope("run", "dashscope/hello-world", "text=Alice")
    assert NOTE not in done.stderr
    assert len(server.requests) > before


def test_a_server_at_the_default_address_is_used(tmp_path: Path, server: LocalServer) -> None:
    before = len(server.requests)
    command = CommandLine(tmp_path, {}, default=server.base_url)
    done = command("run", "dashscope/hello-world", "text=Alice")
    assert (done.code, done.stdout, done.stderr) == (0, "hello Alice\n", "")
    assert len(server.requests) > before
