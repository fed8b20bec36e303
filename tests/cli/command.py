"""`dashscope` as a process in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.process import Finished, Program

AT_ANOTHER_DEFAULT = """
import sys
import dashscope._config
dashscope._config.DEFAULT_BASE_URL = sys.argv.pop(1)
from dashscope.__main__ import main
main()
"""


class CommandLine:
    """A folder to run `dashscope` in, and the environment it runs with.

    Its temporary files and its data go below the folder, where a test can look for them.

    Args:
        folder: the folder.
        env: more of the environment.
        default: what it takes for the default address; somebody may use the real one.
    """

    def __init__(self, folder: Path, env: dict[str, str], *, default: str | None = None) -> None:
        self.folder = folder
        self.itself = (
            ("-m", "dashscope") if default is None else ("-c", AT_ANOTHER_DEFAULT, default)
        )
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._env = {
            "TMPDIR": str(self.temporary),
            "XDG_DATA_HOME": str(folder / "data-home"),
            **env,
        }
        self._programs: list[Program] = []

    def __call__(
        self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> Finished:
        """Run it to its end."""
        return self.start(*arguments, env=env, **options).finish()

    def start(
        self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> Program:
        """Start it, and go on."""
        return self.program(*self.itself, *arguments, env=env, **options)

    def program(
        self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> Program:
        """Start Python, in the same folder and environment."""
        program = Program(*arguments, cwd=self.folder, env={**self._env, **(env or {})}, **options)
        self._programs.append(program)
        return program

    def close(self) -> None:
        """End what a test has left running."""
        for program in self._programs:
            program.kill()
