"""The operations of the API that are commands as they are, as a table; `actions` has the others.

Where the next one goes: into the group of its resource, with an example that runs.
"""

from __future__ import annotations

from typing import Any, Final

import click

from dashscope import SearchResults, WebhookSecret
from dashscope.cli import show
from dashscope.cli.commands import MODEL, VERSION, id_of
from dashscope.cli.inputs import complete_file
from dashscope.cli.operations import Operation, one
from dashscope.cli.terminal import Terminal

MODEL_COLUMNS: Final = {
    "model": "owner/name",
    "runs": "run_count",
    "visibility": "visibility",
    "description": "description",
}
RUN_COLUMNS: Final = {
    "id": "id",
    "model": "model",
    "status": "status",
    "created": "created_at",
    "seconds": "metrics.predict_time",
}


def readme(terminal: Terminal, text: str) -> None:
    """A readme: Markdown as it is."""
    terminal.line({"readme": text}) if terminal.as_json else terminal.text(text)


def secret(terminal: Terminal, found: WebhookSecret) -> None:
    """The secret itself, which other places hide."""
    terminal.line({"key": found.key}) if terminal.as_json else terminal.text(found.key)


def results(terminal: Terminal, found: SearchResults) -> None:
    """What a search found, models first."""
    if terminal.as_json:
        terminal.line(found.raw)
        return
    show.table(terminal, MODEL_COLUMNS, (one.model for one in found.models or ()))
    show.table(terminal, {"collection": "slug", "name": "name"}, found.collections or ())
    show.table(terminal, {"page": "href", "name": "name"}, found.pages or ())


def option(name: str, help: str, **more: Any) -> click.Option:
    """An option that is a keyword of the operation."""
    return click.Option([f"--{name}"], help=help, **more)


def read_text(path: str) -> str:
    """The text of a file, or of stdin for `-`."""
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error


_HARDWARE_HELP: Final = "What it runs on; `dashscope hardware list` tells."
HARDWARE: Final = option("hardware", _HARDWARE_HELP, metavar="SKU", required=True)
CHANGED_HARDWARE: Final = option("hardware", _HARDWARE_HELP, metavar="SKU")
_LINKS: Final = (
    option("description", "What it does."),
    option("github-url", "Its source code."),
    option("paper-url", "Its paper."),
    option("license-url", "Its license."),
)
QUERY: Final = click.Argument(["query"])

MODELS: Final = (
    Operation(
        name="list",
        method="models.list",
        help="List public models.",
        examples=("dashscope models list", "dashscope models list --limit all --json"),
        takes=(
            option(
                "sort-by",
                "What to sort by.",
                type=click.Choice(["model_created_at", "latest_version_created_at"]),
            ),
            option("sort-direction", "Newest first is desc.", type=click.Choice(["asc", "desc"])),
        ),
        columns=MODEL_COLUMNS,
    ),
    Operation(
        name="get",
        method="models.get",
        help="Show a model and its inputs.",
        examples=("dashscope models get dashscope/hello-world",),
        takes=(MODEL,),
        gives=one,
    ),
    Operation(
        name="create",
        method="models.create",
        help="Create a model, to train or push versions of.",
        examples=("dashscope models create local/cat --visibility private --hardware cpu",),
        takes=(
            MODEL,
            option(
                "visibility",
                "Who may see and run it.",
                type=click.Choice(["public", "private"]),
                required=True,
            ),
            HARDWARE,
            *_LINKS,
            option("cover-image-url", "Its picture."),
        ),
        gives=one,
    ),
    Operation(
        name="update",
        method="models.update",
        help="Change what is said of a model; what is not given stays.",
        examples=(
            'dashscope models update local/cat --description "Writes like I do."',
            "dashscope models update local/cat --readme README.md",
        ),
        takes=(
            MODEL,
            *_LINKS,
            option(
                "readme",
                "A Markdown file to be its readme, - for stdin.",
                type=read_text,
                metavar="FILE",
                shell_complete=complete_file,
            ),
            option("weights-url", "Its weights."),
        ),
        gives=one,
    ),
    Operation(
        name="delete",
        method="models.delete",
        help="Delete a model of your own that is private and has no versions.",
        examples=("dashscope models delete local/cat",),
        takes=(MODEL,),
    ),
    Operation(
        name="search",
        method="models.search",
        help="Search public models.",
        examples=("dashscope models search hello",),
        takes=(QUERY,),
        columns=MODEL_COLUMNS,
    ),
    Operation(
        name="readme",
        method="models.readme.get",
        help="Print the readme of a model, which is Markdown.",
        examples=("dashscope models readme dashscope/countdown",),
        takes=(MODEL,),
        gives=readme,
    ),
    Operation(
        name="examples",
        method="models.examples.list",
        help="List the predictions that show what a model does.",
        examples=("dashscope models examples dashscope/hello-world",),
        takes=(MODEL,),
        columns={"id": "id", "input": "input", "output": "output"},
    ),
)

VERSIONS: Final = (
    Operation(
        name="list",
        method="models.versions.list",
        help="List the versions of a model, newest first.",
        examples=("dashscope versions list dashscope/hello-world",),
        takes=(MODEL,),
        columns={"id": "id", "created": "created_at", "cog": "cog_version"},
    ),
    Operation(
        name="get",
        method="models.versions.get",
        help="Show a version of a model and its inputs; --json has its whole schema.",
        examples=("dashscope versions get dashscope/hello-world:VERSION_ID",),
        takes=(VERSION,),
        gives=one,
    ),
    Operation(
        name="delete",
        method="models.versions.delete",
        help="Delete a version of a model of your own, with its predictions.",
        examples=("dashscope versions delete local/cat:VERSION_ID",),
        takes=(VERSION,),
    ),
)

PREDICTIONS: Final = (
    Operation(
        name="list",
        method="predictions.list",
        help="List your predictions, newest first.",
        examples=(
            "dashscope predictions list",
            "dashscope predictions list --created-after 2026-01-31T12:00:00Z --limit all",
        ),
        takes=(
            option("created-after", "Those since this time, such as 2026-01-31T12:00:00Z."),
            option("created-before", "Those before this time."),
            option("source", "Those made in this way.", type=click.Choice(["web"])),
        ),
        columns=RUN_COLUMNS,
    ),
    Operation(
        name="get",
        method="predictions.get",
        help="Show a prediction.",
        examples=(
            "dashscope predictions get PREDICTION_ID",
            "dashscope predictions get PREDICTION_ID --json",
        ),
        takes=(id_of("prediction"),),
        gives=one,
    ),
    Operation(
        name="cancel",
        method="predictions.cancel",
        help="Cancel a prediction; one that is over stays as it is.",
        examples=("dashscope predictions cancel PREDICTION_ID",),
        takes=(id_of("prediction"),),
        gives=one,
    ),
)

TRAININGS: Final = (
    Operation(
        name="list",
        method="trainings.list",
        help="List your trainings, newest first.",
        examples=("dashscope trainings list",),
        columns=RUN_COLUMNS,
    ),
    Operation(
        name="get",
        method="trainings.get",
        help="Show a training.",
        examples=("dashscope trainings get TRAINING_ID",),
        takes=(id_of("training"),),
        gives=one,
    ),
    Operation(
        name="cancel",
        method="trainings.cancel",
        help="Cancel a training; one that is over stays as it is.",
        examples=("dashscope trainings cancel TRAINING_ID",),
        takes=(id_of("training"),),
        gives=one,
    ),
)

DEPLOYMENTS: Final = (
    Operation(
        name="list",
        method="deployments.list",
        help="List your deployments.",
        examples=("dashscope deployments list",),
        columns={
            "deployment": "owner/name",
            "model": "current_release.model",
            "hardware": "current_release.configuration.hardware",
            "version": "current_release.version",
        },
    ),
    Operation(
        name="get",
        method="deployments.get",
        help="Show a deployment.",
        examples=("dashscope deployments get local/my-app",),
        takes=(MODEL,),
        gives=one,
    ),
    Operation(
        name="update",
        method="deployments.update",
        help="Change a deployment, which makes a new release; what is not given stays.",
        examples=("dashscope deployments update local/my-app --max-instances 3",),
        takes=(
            MODEL,
            option("version", "The id of the model's version."),
            CHANGED_HARDWARE,
            option("min-instances", "How many run at least, 0 to 5.", type=int),
            option("max-instances", "How many run at the most, 0 to 20.", type=int),
        ),
        gives=one,
    ),
    Operation(
        name="delete",
        method="deployments.delete",
        help="Delete a deployment that has not been used for 15 minutes.",
        examples=("dashscope deployments delete local/my-app",),
        takes=(MODEL,),
    ),
)

COLLECTIONS: Final = (
    Operation(
        name="list",
        method="collections.list",
        help="List the collections of models.",
        examples=("dashscope collections list",),
        columns={"collection": "slug", "name": "name", "description": "description"},
    ),
    Operation(
        name="get",
        method="collections.get",
        help="Show a collection and its models.",
        examples=("dashscope collections get text",),
        takes=(click.Argument(["slug"]),),
        gives=one,
    ),
)

FILES: Final = (
    Operation(
        name="list",
        method="files.list",
        help="List your files, newest first.",
        examples=("dashscope files list",),
        columns={
            "id": "id",
            "name": "name",
            "type": "content_type",
            "bytes": "size",
            "created": "created_at",
        },
    ),
    Operation(
        name="get",
        method="files.get",
        help="Show what is known of a file; its urls.get goes into a model's input.",
        examples=("dashscope files get FILE_ID",),
        takes=(id_of("file"),),
        gives=one,
    ),
    Operation(
        name="delete",
        method="files.delete",
        help="Delete a file.",
        examples=("dashscope files delete FILE_ID",),
        takes=(id_of("file"),),
    ),
)

HARDWARE_LIST: Final = Operation(
    name="list",
    method="hardware.list",
    help="List the hardware that models can run on.",
    examples=("dashscope hardware list",),
    columns={"sku": "sku", "name": "name"},
    is_paged=False,
)

ACCOUNT: Final = Operation(
    name="account",
    method="account.get",
    help="Show the account that the token belongs to.",
    examples=("dashscope account",),
    gives=one,
)

SEARCH: Final = Operation(
    name="search",
    method="search",
    help="Search models, collections and pages of the documentation.",
    examples=("dashscope search hello", "dashscope search hello --limit 5 --json"),
    takes=(
        QUERY,
        option("limit", "How many models at the most.", type=click.IntRange(1, 50)),
    ),
    gives=results,
)

SECRET: Final = Operation(
    name="secret",
    method="webhooks.default.secret.get",
    help="Print the secret that webhooks are signed with.",
    examples=("dashscope webhooks secret",),
    gives=secret,
)
