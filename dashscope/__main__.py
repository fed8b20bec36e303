"""`python -m dashscope`, and the command `dashscope`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Run the command line, or say what it takes to have it."""
    if find_spec("click") is None or find_spec("rich") is None:
        sys.exit("The command line needs: pip install 'dashscope-client[cli,local]'")
    _open_streams()
    try:
        from dashscope.cli import dashscope

        dashscope(prog_name="dashscope")
    except KeyboardInterrupt:  # while the imports were under way
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


def _open_streams() -> None:
    """Have stdin, stdout and stderr where they are closed: no socket may come to be one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open for as long as the command runs.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    main()
