"""The commands that call one operation, as tables; `actions` contains the others.

To add a command, add an `Operation` to the table of its resource, with an example that runs.
"""

from __future__ import annotations

from typing import Any, Final

import click

from dashscope import SearchResults, WebhookSecret
from dashscope.cli.commands import MODEL, VERSION, id_of
from dashscope.cli.inputs import complete_file
from dashscope.cli.operations import Operation, one
from dashscope.cli.show import table
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
    """Show a readme as Markdown."""
    terminal.line({"readme": text}) if terminal.as_json else terminal.text(text)


def secret(terminal: Terminal, found: WebhookSecret) -> None:
    """Show the secret in plain text."""
    terminal.line({"key": found.key}) if terminal.as_json else terminal.text(found.key)


def results(terminal: Terminal, found: SearchResults) -> None:
    """Show what a search found, models first."""
    if terminal.as_json:
        terminal.line(found.raw)
        return
    table(terminal, MODEL_COLUMNS, (one.model for one in found.models or ()))
    table(terminal, {"collection": "slug", "name": "name"}, found.collections or ())
    table(terminal, {"page": "href", "name": "name"}, found.pages or ())


def option(name: str, help: str, **more: Any) -> click.Option:
    """Return an option that is a keyword argument of the operation."""
    return click.Option([f"--{name}"], help=help, **more)


def read_text(path: str) -> str:
    """Return the text of a file, or of stdin for `-`.

    Raises:
        click.BadParameter: The file cannot be read as UTF-8.
    """
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error


_HARDWARE_HELP: Final = "The hardware, from `dashscope hardware list`."
HARDWARE: Final = option("hardware", _HARDWARE_HELP, metavar="SKU", required=True)
CHANGED_HARDWARE: Final = option("hardware", _HARDWARE_HELP, metavar="SKU")
_LINKS: Final = (
    option("description", "A description."),
    option("github-url", "The URL of the source code."),
    option("paper-url", "The URL of the paper."),
    option("license-url", "The URL of the license."),
)
QUERY: Final = click.Argument(["query"])

MODELS: Final = (
    Operation(
        name="list",
        method="models.list",
        help="List public models.",
        examples=("dashscope models list", "dashscope models list --limit all --json"),
        parameters=(
            option(
                "sort-by",
                "The field to sort by.",
                type=click.Choice(["model_created_at", "latest_version_created_at"]),
            ),
            option(
                "sort-direction",
                "The order; desc is newest first.",
                type=click.Choice(["asc", "desc"]),
            ),
        ),
        columns=MODEL_COLUMNS,
    ),
    Operation(
        name="get",
        method="models.get",
        help="Show a model and its inputs.",
        examples=("dashscope models get dashscope/hello-world",),
        parameters=(MODEL,),
        show=one,
    ),
    Operation(
        name="create",
        method="models.create",
        help="Create a model. Trainings and pushes add versions.",
        examples=("dashscope models create local/cat --visibility private --hardware cpu",),
        parameters=(
            MODEL,
            option(
                "visibility",
                "Who can see and run the model.",
                type=click.Choice(["public", "private"]),
                required=True,
            ),
            HARDWARE,
            *_LINKS,
            option("cover-image-url", "The URL of a picture."),
        ),
        show=one,
    ),
    Operation(
        name="update",
        method="models.update",
        help="Change the description, links or readme of a model.",
        examples=(
            'dashscope models update local/cat --description "Writes like I do."',
            "dashscope models update local/cat --readme README.md",
        ),
        parameters=(
            MODEL,
            *_LINKS,
            option(
                "readme",
                "A Markdown file with the readme, - for stdin.",
                type=read_text,
                metavar="FILE",
                shell_complete=complete_file,
            ),
            option("weights-url", "The URL of the weights."),
        ),
        show=one,
    ),
    Operation(
        name="delete",
        method="models.delete",
        help="Delete a private model that has no versions.",
        examples=("dashscope models delete local/cat",),
        parameters=(MODEL,),
    ),
    Operation(
        name="search",
        method="models.search",
        help="Search public models.",
        examples=("dashscope models search hello",),
        parameters=(QUERY,),
        columns=MODEL_COLUMNS,
    ),
    Operation(
        name="readme",
        method="models.readme.get",
        help="Print the readme of a model as Markdown.",
        examples=("dashscope models readme dashscope/countdown",),
        parameters=(MODEL,),
        show=readme,
    ),
    Operation(
        name="examples",
        method="models.examples.list",
        help="List example predictions of a model.",
        examples=("dashscope models examples dashscope/hello-world",),
        parameters=(MODEL,),
        columns={"id": "id", "input": "input", "output": "output"},
    ),
)

VERSIONS: Final = (
    Operation(
        name="list",
        method="models.versions.list",
        help="List the versions of a model, newest first.",
        examples=("dashscope versions list dashscope/hello-world",),
        parameters=(MODEL,),
        columns={"id": "id", "created": "created_at", "cog": "cog_version"},
    ),
    Operation(
        name="get",
        method="models.versions.get",
        help="Show a version of a model and its inputs. --json includes the schema.",
        examples=("dashscope versions get dashscope/hello-world:VERSION_ID",),
        parameters=(VERSION,),
        show=one,
    ),
    Operation(
        name="delete",
        method="models.versions.delete",
        help="Delete a version of one of your models, with its predictions.",
        examples=("dashscope versions delete local/cat:VERSION_ID",),
        parameters=(VERSION,),
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
        parameters=(
            option(
                "created-after", "Only predictions created after this time: 2026-01-31T12:00:00Z."
            ),
            option("created-before", "Only predictions created before this time."),
            option("source", "Only predictions from this source.", type=click.Choice(["web"])),
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
        parameters=(id_of("prediction"),),
        show=one,
    ),
    Operation(
        name="cancel",
        method="predictions.cancel",
        help="Cancel a prediction. A finished prediction does not change.",
        examples=("dashscope predictions cancel PREDICTION_ID",),
        parameters=(id_of("prediction"),),
        show=one,
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
        parameters=(id_of("training"),),
        show=one,
    ),
    Operation(
        name="cancel",
        method="trainings.cancel",
        help="Cancel a training. A finished training does not change.",
        examples=("dashscope trainings cancel TRAINING_ID",),
        parameters=(id_of("training"),),
        show=one,
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
        parameters=(MODEL,),
        show=one,
    ),
    Operation(
        name="update",
        method="deployments.update",
        help="Change a deployment. This creates a new release.",
        examples=("dashscope deployments update local/my-app --max-instances 3",),
        parameters=(
            MODEL,
            option("version", "The id of a version of the model."),
            CHANGED_HARDWARE,
            option("min-instances", "The minimum number of instances, 0 to 5.", type=int),
            option("max-instances", "The maximum number of instances, 0 to 20.", type=int),
        ),
        show=one,
    ),
    Operation(
        name="delete",
        method="deployments.delete",
        help="Delete a deployment that has not been used for 15 minutes.",
        examples=("dashscope deployments delete local/my-app",),
        parameters=(MODEL,),
    ),
)

COLLECTIONS: Final = (
    Operation(
        name="list",
        method="collections.list",
        help="List collections of models.",
        examples=("dashscope collections list",),
        columns={"collection": "slug", "name": "name", "description": "description"},
    ),
    Operation(
        name="get",
        method="collections.get",
        help="Show a collection and its models.",
        examples=("dashscope collections get text",),
        parameters=(click.Argument(["slug"]),),
        show=one,
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
        help="Show a file. Pass its urls.get as the input of a model.",
        examples=("dashscope files get FILE_ID",),
        parameters=(id_of("file"),),
        show=one,
    ),
    Operation(
        name="delete",
        method="files.delete",
        help="Delete a file.",
        examples=("dashscope files delete FILE_ID",),
        parameters=(id_of("file"),),
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
    show=one,
)

SEARCH: Final = Operation(
    name="search",
    method="search",
    help="Search models, collections and pages of the documentation.",
    examples=("dashscope search hello", "dashscope search hello --limit 5 --json"),
    parameters=(
        QUERY,
        option("limit", "The maximum number of models.", type=click.IntRange(1, 50)),
    ),
    show=results,
)

SECRET: Final = Operation(
    name="secret",
    method="webhooks.default.secret.get",
    help="Print the secret that webhooks are signed with.",
    examples=("dashscope webhooks secret",),
    show=secret,
)
