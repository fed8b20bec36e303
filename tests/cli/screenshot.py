"""Create the terminal screenshot of the README: `python -m tests.cli.screenshot`.

Runs commands on a pseudo-terminal, and needs Debian's chromium to draw the result.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from dashscope.local import LocalServer
from tests.cli.terminal import Terminal
from tests.local.page import studio

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).with_name("terminal.png")
COLUMNS, LINES = 78, 20
SIZE = "1010,764"
COMMANDS = (
    "dashscope run dashscope/hello-world text=Alice",
    "dashscope run studio/landscape prompt=hills count=1",
    "dashscope run dashscope/thumbnail image=@photo.png width=256 -o out/",
)


def terminal_output(command: str, folder: str, base_url: str) -> str:
    """Return what a terminal shows for a command."""
    terminal = Terminal()
    fcntl.ioctl(terminal.end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=folder,
        env={
            **os.environ,
            "COLORTERM": "truecolor",
            "DASHSCOPE_BASE_URL": base_url,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        },
        stdout=terminal.end,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    terminal.close()
    return terminal.drawn.replace("\r\n", "\n")


def main() -> None:
    """Write the screenshot."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    with LocalServer(models=studio.MODELS) as server, tempfile.TemporaryDirectory() as folder:
        photo = ROOT / "tests" / "local" / "page" / "screenshot.png"
        Path(folder, "photo.png").write_bytes(photo.read_bytes())
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(terminal_output(command, folder, server.base_url)))
        page = Path(folder, "terminal.html")
        svg = console.export_svg(title="dashscope", theme=MONOKAI)
        page.write_text(f"<style>body {{ margin: 0 }}</style>{svg}", encoding="utf-8")
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--default-background-color=00000000", f"--window-size={SIZE}"),
                *(f"--screenshot={TARGET}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
