"""Help, version, and errors for missing extras."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

import dashscope as package
from dashscope._common.installing import install_command
from dashscope.cli.session import SERVER_NEEDS
from tests.cli.command import CommandLine
from tests.cli.process import ROOT, Finished

INTERRUPTED_IMPORT = """
import signal, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "dashscope.cli.run":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
from dashscope.__main__ import main
main()
"""


def test_help_shows_the_command_names(dashscope: CommandLine) -> None:
    done = dashscope("--help")
    assert (done.code, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "dashscope run dashscope/hello-world text=Alice" in lines
    assert "dashscope serve" in lines
    assert "\\b" not in done.stdout


def test_version_prints_the_version_of_the_package(dashscope: CommandLine) -> None:
    done = dashscope("--version")
    assert (done.code, done.stderr) == (0, "")
    assert package.__version__ in done.stdout


def test_without_the_cli_extra_the_error_names_it(
    without_address: CommandLine, tmp_path: Path
) -> None:
    done = without(["click"], without_address, "run", "dashscope/hello-world", "text=Alice")
    assert (done.code, done.stdout) == (1, "")
    assert install_command("cli", "local") in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.soak
@pytest.mark.parametrize("module", SERVER_NEEDS)
def test_without_the_local_extra_run_names_it(without_address: CommandLine, module: str) -> None:
    done = without([module.lower()], without_address, "run", "dashscope/hello-world", "text=Alice")
    check_needs_local(done)


@pytest.mark.soak
def test_without_the_local_extra_serve_names_it(without_address: CommandLine) -> None:
    done = without(["starlette"], without_address, "serve", "--port", "0")
    check_serve_needs_local(done)


def test_without_the_local_extra_the_import_names_it(
    without_address: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in SERVER_NEEDS:
        monkeypatch.setattr(
            "dashscope.cli.session.find_spec", lambda name, missing=missing: name != missing or None
        )
        check_needs_local(without_address("run", "dashscope/hello-world", "text=Alice"))
    monkeypatch.setitem(sys.modules, "dashscope.local", None)
    check_serve_needs_local(without_address("serve", "--port", "0"))


def check_needs_local(done: Finished) -> None:
    assert (done.code, done.stdout) == (1, "")
    assert "DASHSCOPE_BASE_URL" in done.stderr
    assert install_command("cli", "local") in done.stderr
    assert "Traceback" not in done.stderr


def check_serve_needs_local(done: Finished) -> None:
    assert (done.code, done.stdout) == (1, "")
    assert install_command("local") in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_the_local_extra_a_remote_server_works(dashscope: CommandLine) -> None:
    done = without(["starlette", "uvicorn"], dashscope, "run", "dashscope/hello-world", "text=Ann")
    assert (done.code, done.stdout) == (0, "hello Ann\n")


def test_ctrl_c_during_imports_prints_no_traceback(without_address: CommandLine) -> None:
    done = without_address.start_python("-c", INTERRUPTED_IMPORT, "run", "test/echo").finish()
    assert (done.code, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def without(modules: list[str], command: CommandLine, *arguments: str) -> Finished:
    """Run `dashscope` without some modules.

    Python starts without its site-packages, and with a folder of links to all of them but those.
    """
    links = command.folder / "site-packages"
    links.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        name = path.name.partition(".")[0].partition("-")[0].lower()
        if name not in modules and path.suffix != ".pth":
            (links / path.name).symlink_to(path)
    return command.start_python(
        "-S", *command.itself, *arguments, env={"PYTHONPATH": f"{ROOT}:{links}"}
    ).finish()
