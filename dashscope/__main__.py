"""`python -m dashscope`, and the command `dashscope`."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line, or say what it takes to have it."""
    if find_spec("click") is None or find_spec("rich") is None:
        sys.exit("The command line needs: pip install 'dashscope-client[cli,local]'")
    try:
        from dashscope.cli import dashscope

        dashscope(prog_name="dashscope")
    except KeyboardInterrupt:  # while the imports were under way
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
