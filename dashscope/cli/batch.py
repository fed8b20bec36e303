"""`dashscope batch`: a model over the rows of a file, and a result for each."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click
from attrs import asdict, define

from dashscope import (
    BatchProgress,
    BatchResult,
    CheckpointError,
    Client,
    FileError,
    Version,
    progress_bar,
)
from dashscope._common.logging import logger
from dashscope._common.urls import Reference
from dashscope.cli.commands import REF, SOME_FAILED, command
from dashscope.cli.inputs import (
    PAIRS,
    STDIN,
    Pair,
    check_pairs,
    complete_file,
    inputs_of,
    known_inputs,
    version_of,
)
from dashscope.cli.outputs import OVERWRITE, check_target
from dashscope.cli.results import Failures, Results, held, record, results
from dashscope.cli.rows import Rows, format_of, open_rows
from dashscope.cli.session import session
from dashscope.cli.terminal import Terminal, counted

FAILURES: Final = ".failures.jsonl"
"""What the file of the rows that failed is called, after the results'."""


@define
class Summary:
    """What a batch came to."""

    done: int = 0
    failed: int = 0
    from_checkpoint: int = 0
    predict_seconds: float = 0.0
    seconds: float = 0.0
    results: str | None = None
    failures: str | None = None

    def add(self, result: BatchResult) -> None:
        """Count a result."""
        self.done += result.ok
        self.failed += not result.ok
        self.from_checkpoint += result.from_checkpoint
        metrics = None if result.prediction is None else result.prediction.metrics
        self.predict_seconds += (metrics and metrics.predict_time) or 0.0

    def __str__(self) -> str:
        count = self.done + self.failed
        before = f", {self.from_checkpoint} of them before" if self.from_checkpoint else ""
        return (
            f"{counted(count, 'row')}{before}: {self.done} done, {self.failed} failed, "
            f"in {self.seconds:.1f} s; {self.predict_seconds:.1f} predict seconds."
        )


def _batch(
    terminal: Terminal,
    *,
    ref: Reference,
    source: str,
    pairs: Sequence[Pair],
    output: str | None,
    failures: str | None,
    overwrite: bool,
    checkpoint: str | None,
    file_keys: Sequence[str],
    **options: Any,
) -> None:
    check_pairs(pairs)
    if source == STDIN and any(pair.file == STDIN for pair in pairs):
        raise click.UsageError("stdin can be read once: it holds the rows already")
    output = None if output == STDIN else output
    if failures is None and output is not None:
        failures = str(Path(output).with_suffix(FAILURES))
    format_of(output or STDIN, "written")
    kept = _check_paths(source, output, failures, checkpoint, overwrite=overwrite)
    target = results(output or STDIN, kept=kept)
    rows = open_rows(source, files=file_keys)
    with ExitStack() as stack:
        # A server that ends with the command has nothing to go on with the next time.
        client, _ = stack.enter_context(session(terminal, own_server=checkpoint is None))
        _look_up(client, ref, rows, pairs)
        batch = client.map(
            str(ref),
            rows,
            checkpoint=checkpoint,
            progress=_bar(terminal, beside=output is not None),
            file_encoding="upload",
            **options,
        )
        # Who else has the checkpoint is known before a file of theirs is written to.
        stack.enter_context(batch)
        failed = stack.enter_context(Failures(failures, target))
        stack.enter_context(target)
        summary = Summary(results=output)
        with _explained(summary, target, checkpoint), _warnings(terminal):
            for result in batch:
                target.write(record(result))
                failed.add(result)
                summary.add(result)
        summary.seconds = batch.progress.elapsed
        summary.failures = failed.written
    typed = [f"{pair.key}={pair.value}" for pair in pairs]
    _tell(terminal, summary, [str(ref), *typed, *(f"--file={key}" for key in file_keys)])
    if summary.failed:
        raise click.exceptions.Exit(SOME_FAILED)


def _look_up(client: Client, ref: Reference, rows: Rows, pairs: Sequence[Pair]) -> None:
    """See that there is such a model, and read what is typed by its schema."""
    model = client.models.get(ref.owner, ref.name)

    def version() -> Version | None:
        return model.latest_version if ref.version is None else version_of(client, ref)

    rows.known = known_inputs(version)
    rows.base = inputs_of(pairs, None, version)


def _check_paths(
    source: str,
    output: str | None,
    failures: str | None,
    checkpoint: str | None,
    *,
    overwrite: bool,
) -> int:
    """See that the files can be written, and that none of them is another one of them.

    Returns:
        How many results of an earlier call are in the file of the results, for one to go on.
    """
    paths = {"rows": source, "results": output, "failures": failures, "checkpoint": checkpoint}
    seen: dict[str, str] = {}
    for role, path in paths.items():
        if path is None or path == STDIN:
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise click.UsageError(f"{path} cannot be both the {seen[real]} and the {role}")
        seen[real] = role
    goes_on = checkpoint is not None and Path(checkpoint).exists()
    kept: int | None = 0
    for path in filter(None, (output, failures)):
        if Path(path).is_dir():
            raise FileError(f"{path} is a folder, not a file")
        if goes_on and path == output and Path(path).exists() and not overwrite:
            kept = held(Path(path))
            if kept is None:
                raise FileError(f"{path} holds no results of a batch: --overwrite replaces it")
        else:
            check_target(path, overwrite=overwrite or goes_on)
    return kept or 0


@contextmanager
def _explained(summary: Summary, target: Results, checkpoint: str | None) -> Generator[None]:
    """Have what ends the batch too soon say how to go on."""
    try:
        yield
    except BaseException as error:
        count = summary.done + summary.failed
        where = "" if summary.results is None else f", their results in {summary.results}"
        if target.has_replaced:
            error.add_note(
                f"{counted(count, 'row')} {'was' if count == 1 else 'were'} over{where}."
            )
        else:
            error.add_note(f"{target.path} is as it was before.")
        if checkpoint is not None and not isinstance(error, CheckpointError):
            error.add_note("The same command goes on where this one stopped.")
        raise


class _Warnings(logging.Handler):
    """Says what the log warns of: rows that an earlier call had, and this one has not."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        self._terminal.note(f"warning: {record.getMessage()}")


@contextmanager
def _warnings(terminal: Terminal) -> Generator[None]:
    handler = _Warnings(terminal)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _bar(terminal: Terminal, *, beside: bool) -> Callable[[BatchProgress], None] | None:
    """A live bar, where somebody looks and it does not stand between results."""
    if not terminal.shows_progress or (terminal.out.is_terminal and not beside):
        return None
    return progress_bar("rows", console=terminal.err)


def _tell(terminal: Terminal, summary: Summary, typed: Sequence[str]) -> None:
    if terminal.as_json and summary.results is not None:
        terminal.line(asdict(summary))
    if summary.done + summary.failed == 0:
        terminal.note("There are no rows: nothing was run.")
        return
    terminal.note(str(summary))
    if summary.failures is not None:
        ref, *more = typed
        again = shlex.join(["dashscope", "batch", ref, summary.failures, *more])
        terminal.note(f"The rows that failed are in {summary.failures}; to try them again:")
        terminal.note(f"  {again}")


batch = command(
    "batch",
    _batch,
    REF,
    click.Argument(["source"], metavar="ROWS", shell_complete=complete_file),
    PAIRS,
    click.Option(
        ["-o", "--output"],
        metavar="FILE",
        shell_complete=complete_file,
        help="Where the results go: .jsonl, .csv or .parquet; by default stdout.",
    ),
    click.Option(
        ["--failures"],
        metavar="FILE.jsonl",
        shell_complete=complete_file,
        help="Where the rows that failed go; by default beside the results.",
    ),
    OVERWRITE,
    click.Option(
        ["--checkpoint"],
        metavar="FILE.sqlite",
        shell_complete=complete_file,
        help="What was done is kept here; the same command then goes on.",
    ),
    click.Option(
        ["--concurrency"],
        type=click.IntRange(1),
        default=32,
        show_default=True,
        help="How many predictions run at once.",
    ),
    click.Option(
        ["--max-rate"],
        type=click.FloatRange(min=0, min_open=True),
        help="How many are created per second at the most.",
    ),
    click.Option(["--ordered"], is_flag=True, help="Write the results in the order of the rows."),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0, min_open=True),
        help="Seconds that each prediction may take.",
    ),
    click.Option(
        ["--file", "file_keys"],
        metavar="KEY",
        multiple=True,
        help="An input that is the path of a file to send; may be repeated.",
    ),
    click.Option(
        ["--on-unknown"],
        type=click.Choice(["error", "recreate"]),
        default="error",
        show_default=True,
        help="What becomes of a row that may have been created, which nobody can tell.",
    ),
    help="""Run a model over the rows of a file.

    ROWS is JSON lines, CSV or Parquet by its extension, - for JSON lines on stdin. A row is an
    object of inputs; cells of CSV are read by the model's schema, and an empty one is left out.
    KEY=VALUE goes into each row that does not say otherwise.

    Each row has a result: index, status, input, output, error, prediction and predict_time.
    Ctrl-C cancels what runs. With --checkpoint the same command then goes on: what is done or
    still runs is not created again, and each row's result is written once. The exit code is 5
    where rows failed.""",
    examples=(
        "dashscope batch dashscope/hello-world rows.jsonl -o out.jsonl --concurrency 64",
        "dashscope batch dashscope/hello-world in.csv -o out.csv --checkpoint in.sqlite",
        "dashscope batch dashscope/thumbnail a.csv --file image width=64 -o out.parquet",
        "cat rows.jsonl | dashscope batch dashscope/hello-world - > results.jsonl",
    ),
)
