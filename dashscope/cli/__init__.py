"""The command line: `dashscope run`, `dashscope serve` and others.

Results go to stdout. Progress, messages and errors go to stderr. `commands` defines how a command
is built and the exit codes. `resources` and `actions` contain the commands on the API's resources.
"""

from __future__ import annotations

import click

from dashscope import __version__
from dashscope.cli import actions, resources
from dashscope.cli.batch import batch
from dashscope.cli.checkpoints import CHECKPOINTS
from dashscope.cli.commands import EXIT_CODES, Command, Program, group
from dashscope.cli.completion import completion
from dashscope.cli.docs import DOCS
from dashscope.cli.mcp import MCP
from dashscope.cli.operations import Operation
from dashscope.cli.run import run, stream
from dashscope.cli.serve import serve
from dashscope.cli.stubs import STUBS
from dashscope.cli.webhooks import listen


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(__version__)
def dashscope() -> None:
    """Run models over the Dashscope HTTP API.

    Set DASHSCOPE_BASE_URL to the API's address and DASHSCOPE_API_TOKEN to your token. Without an
    address, run, stream and batch start a local server, and stop it when they end.

    \b
    dashscope run dashscope/hello-world text=Alice
    dashscope run dashscope/thumbnail image=@photo.png width=64 -o out/
    dashscope stream dashscope/countdown start=3
    dashscope batch dashscope/hello-world rows.jsonl -o results.jsonl
    dashscope models get dashscope/thumbnail
    dashscope predictions list --json
    dashscope serve
    dashscope docs quickstart
    """


def _of(operations: tuple[Operation, ...]) -> list[Command]:
    return [operation.command() for operation in operations]


for _command in (
    run,
    stream,
    batch,
    serve,
    DOCS,
    MCP,
    resources.ACCOUNT.command(),
    resources.SEARCH.command(),
    completion,
    group("checkpoints", *CHECKPOINTS, help="Progress of batches, to resume them."),
    group("collections", *_of(resources.COLLECTIONS), help="Curated groups of models."),
    group(
        "deployments",
        *_of(resources.DEPLOYMENTS),
        *actions.DEPLOYMENTS,
        help="Private endpoints for models.",
    ),
    group(
        "files", *_of(resources.FILES), *actions.FILES, help="Uploaded files, for use in inputs."
    ),
    group("hardware", resources.HARDWARE_LIST.command(), help="Hardware that models can run on."),
    group("models", *_of(resources.MODELS), STUBS, help="Public models and your own models."),
    group("predictions", *_of(resources.PREDICTIONS), *actions.PREDICTIONS, help="Runs of models."),
    group(
        "trainings",
        *_of(resources.TRAININGS),
        *actions.TRAININGS,
        help="Training runs of models.",
    ),
    group(
        "webhooks",
        listen,
        resources.SECRET.command(),
        help="Events that the server sends to a URL.",
    ),
    group("versions", *_of(resources.VERSIONS), help="Versions of a model."),
):
    dashscope.add_command(_command)
