"""Commands that combine several operations: create, wait, run and download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import click

from dashscope import Client, FileError, Model, Prediction, Version
from dashscope._common.json import is_object
from dashscope._common.urls import Reference
from dashscope._files.file_output import wrap_file_outputs
from dashscope._predictions.create import WEBHOOK_EVENTS
from dashscope._predictions.outcome import output_of
from dashscope._runtime.runtime import GRACE
from dashscope._runtime.signals import defer_signals
from dashscope.cli.commands import MODEL, REF, TIMEOUT, Command, command, id_of
from dashscope.cli.inputs import (
    INPUT,
    PAIRS,
    Pair,
    check_file,
    check_pairs,
    complete_file,
    inputs_of,
    version_of,
)
from dashscope.cli.operations import one
from dashscope.cli.outputs import OVERWRITE, SAVE, check_target, place
from dashscope.cli.resources import HARDWARE, option
from dashscope.cli.run import run_and_deliver
from dashscope.cli.session import Terminated, open_client
from dashscope.cli.terminal import Terminal, write

WEBHOOK: Final = (
    option("webhook", "An http or https URL that receives events."),
    click.Option(
        ["--webhook-event", "events"],
        type=click.Choice(WEBHOOK_EVENTS),
        multiple=True,
        help="An event to send. Can be repeated. Default: all events.",
    ),
)


def _create_prediction(
    terminal: Terminal,
    *,
    ref: Reference,
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    wait: int | None,
    cancel_after: str | None,
    webhook: str | None,
    events: Sequence[Any],
) -> None:
    check_pairs(pairs)
    with open_client(terminal) as client:
        options: dict[str, Any] = {
            "input": inputs_of(pairs, base, lambda: version_of(client, ref)),
            "wait": wait,
            "cancel_after": cancel_after,
            "webhook": webhook,
            "webhook_events_filter": events or None,
        }
        if ref.version is None:
            created = client.models.predictions.create(ref.owner, ref.name, **options)
        else:
            created = client.predictions.create(version=str(ref), **options)
        one(terminal, created)


def _wait(
    terminal: Terminal, *, of: str, timeout: float | None, ids: Sequence[str], logs: bool
) -> None:
    failed: list[str] = []
    with open_client(terminal) as client:
        wait = client.wait if of == "predictions" else client.trainings.wait
        for id in ids:
            try:
                with terminal.status(id, "waiting") as status:
                    done = wait(id, timeout=timeout, progress=status.on_progress)
            except (KeyboardInterrupt, Terminated) as stop:
                stop.add_note(f"Nothing was canceled: {id} may still be running.")
                raise
            one(terminal, done)
            if logs and done.logs:
                write(done.logs.rstrip("\n") + "\n", err=True)
            if done.status != "succeeded":
                failed.append(f"{id} ({done.status})")
    if failed:
        terminal.note(f"Did not succeed: {', '.join(failed)}.")
        raise click.exceptions.Exit(1)


def _create_training(
    terminal: Terminal,
    *,
    ref: Reference,
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    destination: Reference,
    webhook: str | None,
    events: Sequence[Any],
) -> None:
    check_pairs(pairs)
    with open_client(terminal) as client:
        version = _latest(client, ref)
        created = client.trainings.create(
            ref.owner,
            ref.name,
            version.id,
            destination=str(destination),
            input=inputs_of(pairs, base, lambda: version, part="TrainingInput"),
            webhook=webhook,
            webhook_events_filter=events or None,
        )
        one(terminal, created)


def _create_deployment(
    terminal: Terminal,
    *,
    name: str,
    ref: Reference,
    hardware: str,
    min_instances: int,
    max_instances: int,
) -> None:
    with open_client(terminal) as client:
        created = client.deployments.create(
            name=name,
            model=f"{ref.owner}/{ref.name}",
            version=_latest(client, ref).id,
            hardware=hardware,
            min_instances=min_instances,
            max_instances=max_instances,
        )
        one(terminal, created)


def _run_deployment(terminal: Terminal, **typed: Any) -> None:
    run_and_deliver(terminal, _deployment, _deployed_version, own_server=False, **typed)


def _deployment(
    client: Client,
    ref: Reference,
    inputs: Mapping[str, Any],
    *,
    timeout: float | None,
    progress: Callable[[Prediction], object] | None,
) -> Any:
    """Run a deployment like `client.run()` runs a model, and cancel its prediction on failure."""
    created: Prediction | None = None
    try:
        with defer_signals(GRACE):  # a signal here would lose the id
            created = client.deployments.predictions.create(ref.owner, ref.name, input=inputs)
    except BaseException:
        if created is not None:
            client.predictions.cancel(created)
        raise
    done = client.wait(created, timeout=timeout, progress=progress, cancel_on_exit=True)
    # wait() returns plain URLs. Make them files, as run() does.
    return wrap_file_outputs(output_of(str(ref), done), client._async._api)  # pyright: ignore[reportPrivateUsage]


def _create_file(
    terminal: Terminal, *, path: str, filename: str | None, content_type: str | None
) -> None:
    check_file(path, path)
    source = Path(path)
    with (
        open_client(terminal) as client,
        terminal.status(source.name, "uploading") as status,
    ):
        created = client.files.create(
            source,
            filename=filename,
            content_type=content_type,
            progress=status.bytes_sent(source.stat().st_size),
        )
    one(terminal, created)


def _download_file(terminal: Terminal, *, file: str, output: str | None, overwrite: bool) -> None:
    output = "./" if output is None else output
    check_target(output, overwrite=overwrite)
    with open_client(terminal) as client:
        found = client.files.get(file)
        urls = found.raw.get("urls")
        signed = _query_of(urls.get("download") if is_object(urls) else None)
        if not {"owner", "expiry", "signature"} <= signed.keys():
            raise FileError(
                f"The server does not return a signed URL for the file {file} (urls.download). "
                "With your own signature, use client.files.download() in Python."
            )
        with client.files.download(
            found,
            owner=signed["owner"],
            expiry=int(signed["expiry"]),
            signature=signed["signature"],
        ) as download:
            folder = output.endswith("/") or Path(output).is_dir()
            saved = place(download.save, output, folder=folder, overwrite=overwrite)
    terminal.line(str(saved)) if terminal.as_json else terminal.text(str(saved))


def _query_of(url: Any) -> dict[str, str]:
    query = urlsplit(url).query if isinstance(url, str) else ""
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _latest(client: Client, ref: Reference) -> Version:
    """Return the version that `ref` names, or the latest version."""
    if ref.version is not None:
        return client.models.versions.get(ref.owner, ref.name, ref.version)
    model: Model = client.models.get(ref.owner, ref.name)
    if model.latest_version is None:
        raise click.UsageError(f"{ref} has no version yet")
    return model.latest_version


def _deployed_version(client: Client, ref: Reference) -> Version | None:
    release = client.deployments.get(ref.owner, ref.name).current_release
    if release is None or release.model is None:
        return None
    return version_of(client, Reference.parse(f"{release.model}:{release.version}"))


def _wait_command(what: str, id: str, example: str) -> Command:
    return command(
        "wait",
        partial(_wait, of=what),
        click.Argument(["ids"], nargs=-1, required=True, metavar=f"{id}..."),
        TIMEOUT,
        click.Option(["--logs"], is_flag=True, help="Show the logs on stderr."),
        help=f"""Wait until {what} finish, and show them.

        The exit code is 1 if one of them did not succeed. Ctrl-C ends the wait and cancels
        nothing.""",
        examples=(f"dashscope {what} wait {example}",),
    )


PREDICTIONS: Final = (
    command(
        "create",
        _create_prediction,
        REF,
        PAIRS,
        INPUT,
        option(
            "wait",
            "Wait up to this many seconds for the output.",
            type=click.IntRange(1, 60),
        ),
        option(
            "cancel-after", "Cancel the prediction after this time: seconds, or 1h30m, for example."
        ),
        *WEBHOOK,
        help="""Start a prediction without waiting for its output.

        Prints the prediction. To wait for it, use `dashscope predictions wait`.""",
        examples=(
            "dashscope predictions create dashscope/hello-world text=Alice",
            "dashscope predictions create dashscope/hello-world text=Alice --wait 10 --json",
        ),
    ),
    _wait_command("predictions", "PREDICTION_ID", "PREDICTION_ID --timeout 600"),
)

TRAININGS: Final = (
    command(
        "create",
        _create_training,
        REF,
        PAIRS,
        INPUT,
        option(
            "destination",
            "The model that receives the new version.",
            type=MODEL.type,
            metavar="OWNER/NAME",
            required=True,
        ),
        *WEBHOOK,
        help="""Train a model: its latest version, or the version that you name.

        To create the destination, use `dashscope models create`.""",
        examples=(
            "dashscope trainings create dashscope/markov text=@a.md --destination local/cat",
        ),
    ),
    _wait_command("trainings", "TRAINING_ID", "TRAINING_ID"),
)

DEPLOYMENTS: Final = (
    command(
        "create",
        _create_deployment,
        click.Argument(["name"]),
        REF,
        HARDWARE,
        option(
            "min-instances",
            "The minimum number of instances, 0 to 5.",
            type=click.IntRange(0),
            default=0,
        ),
        option(
            "max-instances",
            "The maximum number of instances, 0 to 20.",
            type=click.IntRange(0),
            default=1,
        ),
        help="Deploy a model: its latest version, or the version that you name.",
        examples=("dashscope deployments create my-app dashscope/hello-world --hardware cpu",),
    ),
    command(
        "run",
        _run_deployment,
        MODEL,
        PAIRS,
        INPUT,
        SAVE,
        OVERWRITE,
        TIMEOUT,
        help="""Run the model of a deployment and print its output.

        Inputs work as in `dashscope run`. Ctrl-C cancels the prediction.""",
        examples=("dashscope deployments run local/my-app text=Alice",),
    ),
)

FILES: Final = (
    command(
        "create",
        _create_file,
        click.Argument(["path"], metavar="FILE", shell_complete=complete_file),
        option("filename", "The name to store. Default: the name of the file."),
        option("content-type", "The media type. Default: guessed from the name."),
        help="""Upload a file of up to 100 MB to use in several inputs.

        Pass its urls.get as the input of a model.""",
        examples=("dashscope files create photo.png",),
    ),
    command(
        "download",
        _download_file,
        id_of("file"),
        SAVE,
        OVERWRITE,
        help="Download a file into the current folder, or to --output.",
        examples=("dashscope files download FILE_ID -o copies/",),
    ),
)
