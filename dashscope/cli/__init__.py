"""The command line: `dashscope run`, `dashscope serve` and the rest.

Results go to stdout; progress, messages and errors to stderr. `commands` says how a command is
made and what the exit codes are, `resources` and `actions` which ones the API's resources have.
"""

from __future__ import annotations

import click

from dashscope import __version__
from dashscope.cli import actions, resources
from dashscope.cli.batch import batch
from dashscope.cli.commands import EXIT_CODES, Command, Program, group
from dashscope.cli.completion import completion
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

    The address is DASHSCOPE_BASE_URL, the token DASHSCOPE_API_TOKEN. Without an address, run,
    stream and batch start a local server for as long as they run.

    \b
    dashscope run dashscope/hello-world text=Alice
    dashscope run dashscope/thumbnail image=@photo.png width=64 -o out/
    dashscope stream dashscope/countdown start=3
    dashscope batch dashscope/hello-world rows.jsonl -o results.jsonl
    dashscope models get dashscope/thumbnail
    dashscope predictions list --json
    dashscope serve
    """


def _of(operations: tuple[Operation, ...]) -> list[Command]:
    return [operation.command() for operation in operations]


for _command in (
    run,
    stream,
    batch,
    serve,
    resources.ACCOUNT.command(),
    resources.SEARCH.command(),
    completion,
    group("collections", *_of(resources.COLLECTIONS), help="Models that belong together."),
    group(
        "deployments",
        *_of(resources.DEPLOYMENTS),
        *actions.DEPLOYMENTS,
        help="Models behind an endpoint of your own.",
    ),
    group("files", *_of(resources.FILES), *actions.FILES, help="Files to use in inputs."),
    group("hardware", resources.HARDWARE_LIST.command(), help="What models can run on."),
    group("models", *_of(resources.MODELS), STUBS, help="Models: what there is, and your own."),
    group(
        "predictions", *_of(resources.PREDICTIONS), *actions.PREDICTIONS, help="Runs of a model."
    ),
    group(
        "trainings",
        *_of(resources.TRAININGS),
        *actions.TRAININGS,
        help="Runs of a model's training.",
    ),
    group(
        "webhooks",
        listen,
        resources.SECRET.command(),
        help="What the server tells as it happens.",
    ),
    group("versions", *_of(resources.VERSIONS), help="The versions of a model."),
):
    dashscope.add_command(_command)
