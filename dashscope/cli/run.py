"""`dashscope run` and `dashscope stream`: run a model, print or save its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from dashscope import Client, Event, FileOutput, LogsEvent, OtherEvent, OutputEvent, Version
from dashscope._common.urls import Reference
from dashscope.cli.commands import REF, TIMEOUT, command
from dashscope.cli.inputs import INPUT, PAIRS, Pair, check_pairs, inputs_of, version_of
from dashscope.cli.outputs import OVERWRITE, SAVE, check_target, give
from dashscope.cli.session import session
from dashscope.cli.terminal import Terminal


def run_and_give(
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
    """Run what `ref` names, and print or save its output.

    Args:
        terminal: where to.
        execute: runs it: called with the client, `ref`, the inputs, `timeout` and `progress`.
        version: asks for the version whose schema the inputs are read by.
        own_server: whether to start a local server where there is none.
        ref: the model, or the deployment.
        pairs: the inputs as they were typed.
        base: the inputs of `--input`.
        output: where to save the output.
        overwrite: whether to replace a file there.
        timeout: seconds that it may take.
    """
    check_pairs(pairs)
    check_target(output, overwrite=overwrite)
    with session(terminal, own_server=own_server) as (client, is_temporary):
        inputs = inputs_of(pairs, base, lambda: version(client, ref))
        with terminal.status(str(ref), "creating") as status:
            result = execute(client, ref, inputs, timeout=timeout, progress=status.tell)
        give(terminal, result, output, overwrite=overwrite, is_temporary=is_temporary)


def _model(client: Client, ref: Reference, inputs: Mapping[str, Any], **options: Any) -> Any:
    return client.run(str(ref), inputs, file_encoding="upload", **options)


def _run(terminal: Terminal, **typed: Any) -> None:
    run_and_give(terminal, _model, version_of, own_server=True, **typed)


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
    with session(terminal, own_server=True) as (client, _):
        inputs = inputs_of(pairs, base, lambda: version_of(client, ref))
        last = "\n"
        with client.stream(str(ref), inputs, timeout=timeout, file_encoding="upload") as stream:
            for event in stream:
                if terminal.as_json:
                    terminal.line(_as_json(event))
                elif isinstance(event, OutputEvent):
                    last = event.text + "\n" * isinstance(event.text, FileOutput) or last
                    terminal.part(last)
                elif isinstance(event, LogsEvent) and logs:
                    click.echo(event.text, nl=False, err=True)
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

    Inputs are KEY=VALUE; KEY=@FILE sends a file, KEY=@- what comes in on stdin, and KEY=@@TEXT is
    text that starts with @. Ctrl-C cancels the prediction, and so does the end of --timeout.

    Without DASHSCOPE_BASE_URL, and with no server at the default address, a local one is started
    for as long as the command runs.""",
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
    click.Option(["--logs"], is_flag=True, help="Show on stderr what the model prints."),
    help="""Run a model and print its output as it comes.

    Inputs are those of `dashscope run`. With --json each event is an object: event (output, logs,
    done), data and id. Leaving early cancels the prediction.""",
    examples=(
        "dashscope stream dashscope/countdown start=3",
        'dashscope stream dashscope/markov prompt="the cat" length=20 --json',
    ),
)
