"""The entry point of `dashscope` and `python -m dashscope`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Run the command line, or say how to install it."""
    if find_spec("click") is None or find_spec("rich") is None:
        from dashscope._common.installing import install_command

        sys.exit(f"The command line is not installed: {install_command('cli', 'local')}")
    _open_streams()
    try:
        from dashscope.cli import dashscope

        dashscope(prog_name="dashscope")
    except KeyboardInterrupt:  # during the imports
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


def _open_streams() -> None:
    """Open stdin, stdout and stderr if they are closed, so that no socket takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open until the command ends.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    main()
