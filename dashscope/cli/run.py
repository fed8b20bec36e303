"""`dashscope run` and `dashscope stream`: run a model and print or save its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from dashscope import (
    Client,
    Event,
    FileError,
    FileOutput,
    LogsEvent,
    OtherEvent,
    OutputEvent,
    Version,
)
from dashscope._common.urls import Reference
from dashscope.cli.commands import REF, TIMEOUT, command
from dashscope.cli.inputs import INPUT, PAIRS, Pair, check_pairs, inputs_of, version_of
from dashscope.cli.outputs import OVERWRITE, SAVE, check_target, deliver
from dashscope.cli.session import Session, open_session
from dashscope.cli.terminal import Terminal, json_text, write


def run_and_deliver(
    terminal: Terminal,
    execute: Callable[..., Any],
    version: Callable[[Client, Reference], Version | None],
    *,
    own_server: bool,
    ref: Reference,
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    output: str | None,
    overwrite: bool,
    timeout: float | None,
) -> None:
    """Run a model or a deployment, and print or save its output.

    Args:
        terminal: Where to print the output.
        execute: Runs it. Called with the client, `ref`, the inputs, `timeout` and `progress`.
        version: Returns the version whose schema defines the inputs.
        own_server: Whether to start a local server if there is none.
        ref: The model or the deployment.
        pairs: The inputs from the command line.
        base: The inputs from `--input`.
        output: The file or folder to save the output to.
        overwrite: Whether to replace existing files.
        timeout: Seconds until the prediction is canceled.
    """
    check_pairs(pairs)
    check_target(output, overwrite=overwrite)
    with open_session(terminal, own_server=own_server) as session:
        client = session.client
        inputs = inputs_of(pairs, base, lambda: version(client, ref))
        with terminal.status(str(ref), "creating") as status:
            result = execute(client, ref, inputs, timeout=timeout, progress=status.on_progress)
        try:
            deliver(
                terminal, result, output, overwrite=overwrite, is_temporary=session.is_temporary
            )
        except BrokenPipeError:
            write(f"stdout was closed. {_where(session, result)}\n", err=True)
            raise
        except BaseException as error:
            error.add_note(_where(session, result))
            raise


def _where(session: Session, result: Any) -> str:
    """Say how to get an output that could not be printed or saved."""
    if session.is_temporary:  # its server is about to stop
        return f"The output of prediction {session.prediction_id}: {json_text(result)}"
    return f"To get the output: dashscope predictions get {session.prediction_id}"


def _model(client: Client, ref: Reference, inputs: Mapping[str, Any], **options: Any) -> Any:
    return client.run(str(ref), inputs, file_encoding="upload", **options)


def _run(terminal: Terminal, **typed: Any) -> None:
    run_and_deliver(terminal, _model, version_of, own_server=True, **typed)


def _stream(
    terminal: Terminal,
    *,
    ref: Reference,
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    timeout: float | None,
    logs: bool,
) -> None:
    check_pairs(pairs)
    with open_session(terminal, own_server=True) as session:
        client = session.client
        inputs = inputs_of(pairs, base, lambda: version_of(client, ref))
        try:
            with client.stream(str(ref), inputs, timeout=timeout, file_encoding="upload") as stream:
                _print_events(terminal, stream, logs=logs)
        except FileError as error:
            if session.prediction_id is not None:
                error.add_note(f"To get it: dashscope predictions get {session.prediction_id}")
            raise


def _print_events(terminal: Terminal, events: Iterable[Event], *, logs: bool) -> None:
    last = "\n"
    for event in events:
        if terminal.as_json:
            terminal.line(_as_json(event))
        elif isinstance(event, OutputEvent):
            last = event.text + "\n" * isinstance(event.text, FileOutput) or last
            terminal.part(last)
        elif isinstance(event, LogsEvent) and logs:
            write(event.text, err=True)
    if not last.endswith("\n"):
        terminal.part("\n")


def _as_json(event: Event) -> dict[str, str | None]:
    if isinstance(event, OutputEvent):
        return {"event": "output", "data": event.text, "id": event.id}
    if isinstance(event, LogsEvent):
        return {"event": "logs", "data": event.text, "id": event.id}
    if isinstance(event, OtherEvent):
        return {"event": event.event, "data": event.data, "id": event.id}
    return {"event": "done", "data": event.reason, "id": event.id}


run = command(
    "run",
    _run,
    REF,
    PAIRS,
    INPUT,
    SAVE,
    OVERWRITE,
    TIMEOUT,
    help="""Run a model and print its output.

    Inputs are KEY=VALUE. KEY=@FILE sends a file, KEY=@- sends stdin, and KEY=@@TEXT is text that
    starts with @. Repeat KEY=@FILE to send a list of files. Ctrl-C and --timeout cancel the
    prediction.

    If DASHSCOPE_BASE_URL is not set and no server listens at the default address, the command
    starts a local server and stops it at the end.""",
    examples=(
        "dashscope run dashscope/hello-world text=Alice",
        "dashscope run dashscope/thumbnail image=@photo.png width=64 -o out/",
        "dashscope run dashscope/hello-world --input input.json --json",
        "cat photo.png | dashscope run dashscope/thumbnail image=@- width=64 -o out.png",
    ),
)

stream = command(
    "stream",
    _stream,
    REF,
    PAIRS,
    INPUT,
    TIMEOUT,
    click.Option(["--logs"], is_flag=True, help="Show the logs of the model on stderr."),
    help="""Run a model and print its output while it runs.

    Inputs work as in `dashscope run`. With --json, each event is an object with event (output,
    logs or done), data and id. Ctrl-C cancels the prediction.""",
    examples=(
        "dashscope stream dashscope/countdown start=3",
        'dashscope stream dashscope/markov prompt="the cat" length=20 --json',
    ),
)
