"""`python -m dashscope`, and the command `dashscope`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


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
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    main()
