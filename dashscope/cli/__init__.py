"""The command line: `dashscope run`, `dashscope serve`.

Results go to stdout; progress, messages and errors to stderr. Exit codes: 0 success, 1 an
error of the API, the model or a file, 2 a wrong command line, 130 Ctrl-C.
"""

from __future__ import annotations

import click

from dashscope import __version__
from dashscope.cli.run import run
from dashscope.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def dashscope() -> None:
    """Run models over the Dashscope HTTP API.

    \b
    dashscope run dashscope/hello-world text=Alice
    dashscope serve
    """


dashscope.add_command(run)
dashscope.add_command(serve)
