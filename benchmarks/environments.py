"""A separate environment for each contender."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = {
    "ours": [".[aiohttp,http2]"],
    "plain": ["."],
    "ours-sniffio": [".", "sniffio"],
    "bare-sniffio": ["httpx", "sniffio"],
    "bare": ["httpx[http2]", "httpx-sse", "aiohttp", "httpx-aiohttp"],
    "replicate-1": ["replicate==1.0.7"],
    "replicate-2": ["replicate[aiohttp]==2.0.0b4"],
    "openai": ["openai"],
}
OURS = ("ours", "plain", "ours-sniffio")
NODE_PACKAGE = "replicate@1.4.0"
SHOWN = frozenset(
    {
        *("dashscope-client", "replicate", "openai", "httpx", "httpx2", "httpcore", "h11", "h2"),
        *(
            "sniffio",
            "aiohttp",
            "httpx-aiohttp",
            "httpx-sse",
            "anyio",
            "pydantic",
            "attrs",
            "cattrs",
        ),
    }
)
"""The packages whose versions the report shows."""


class Environments:
    """Return the environments in a folder. Create missing ones, and always renew ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.problems: dict[str, str] = {}

    def make(self) -> None:
        """Create missing environments. A failure is reported by the contenders that need it."""
        for name, requirements in REQUIREMENTS.items():
            ready = self._folder / name / "ready"
            if name in OURS:
                ready.unlink(missing_ok=True)
            if ready.exists() and ready.read_text() == repr(requirements):
                continue
            python = self._folder / name / "bin" / "python"
            if not python.exists():
                self._run(name, sys.executable, "-m", "venv", str(self._folder / name))
            again = ("--force-reinstall", "--no-deps", ".") if name in OURS else ()
            self._run(name, str(python), "-m", "pip", "install", "-q", *requirements)
            if again:
                self._run(name, str(python), "-m", "pip", "install", "-q", *again)
            if name not in self.problems:
                ready.write_text(repr(requirements))
        self._make_node()

    def _make_node(self) -> None:
        folder = self._folder / "node"
        if shutil.which("node") is None or shutil.which("npm") is None:
            self.problems["node"] = "node and npm are not installed"
        elif not (folder / "node_modules" / "replicate").exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._run("node", "npm", "install", "--silent", "--prefix", str(folder), NODE_PACKAGE)

    def command(self, name: str) -> list[str]:
        """Return the command that runs a script in an environment."""
        if name == "node":
            return ["node"]
        return [str(self._folder / name / "bin" / "python")]

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment variables that a script needs."""
        return {"NODE_MODULES": str(self._folder / name)} if name == "node" else {}

    def versions(self) -> dict[str, dict[str, str]]:
        """Return the installed packages of each environment."""
        found: dict[str, dict[str, str]] = {}
        for name in REQUIREMENTS:
            listed = subprocess.run(
                [*self.command(name), "-m", "pip", "list", "--format", "json"],
                capture_output=True,
                text=True,
                check=False,
            )
            packages = json.loads(listed.stdout or "[]")
            found[name] = {
                package["name"]: package["version"]
                for package in packages
                if package["name"] in SHOWN
            }
        if "node" not in self.problems:
            node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
            found["node"] = {"node": node.stdout.strip(), "replicate": "1.4.0"}
        return found

    def _run(self, name: str, *command: str) -> None:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0 and name not in self.problems:
            lines = (ended.stderr or ended.stdout).strip().splitlines()
            self.problems[name] = "cannot be installed: " + (lines[-1] if lines else "no reason")
