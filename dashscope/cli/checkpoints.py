"""`dashscope checkpoints`: what the checkpoints of batches contain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import click
from attrs import asdict

from dashscope._batch.checkpoint import inspection
from dashscope._batch.checkpoint.inspection import CheckpointSummary
from dashscope._batch.checkpoint.location import parse
from dashscope.cli.commands import command
from dashscope.cli.inputs import complete_file
from dashscope.cli.show import table
from dashscope.cli.terminal import Terminal, counted

PLACE: Final = click.Argument(["place"], metavar="CHECKPOINT", shell_complete=complete_file)
COLUMNS: Final = {
    "CHECKPOINT": "checkpoint",
    "MODEL": "ref",
    "ROWS": "rows",
    "FINISHED": "finished",
    "BYTES": "size",
    "LAST WRITE": "last_write",
}


def _list(terminal: Terminal, *, place: str) -> None:
    found = inspection.find(place)
    if terminal.as_json:
        for summary in found:
            terminal.line(asdict(summary))
        return
    if not found:
        terminal.note(f"The folder {place} contains no checkpoints.")
        return
    table(terminal, COLUMNS, found)


def _show(terminal: Terminal, *, place: str) -> None:
    for summary in inspection.summaries(parse(place)):
        terminal.line(asdict(summary)) if terminal.as_json else terminal.text(_described(summary))


def _described(summary: CheckpointSummary) -> str:
    rows = [
        f"{summary.checkpoint}: {counted(summary.rows, 'row')} of {summary.ref}",
        f"finished    {summary.finished}",
        f"running     {summary.running}",
        f"unknown     {summary.unknown}",
        f"bytes       {summary.size}",
    ]
    if summary.last_write is not None:
        rows.append(f"last write  {summary.last_write.isoformat(timespec='seconds')}")
    if summary.duplicates:
        rows.append(
            f"duplicates  {summary.duplicates}: two live workers had the same rows. A database "
            "prevents this."
        )
    return "\n".join(rows)


def _prune(terminal: Terminal, *, place: str, ref: str | None, days: float | None) -> None:
    before = None if days is None else datetime.now(UTC) - timedelta(days=days)
    count = inspection.prune(parse(place), ref=ref, before=before)
    terminal.line({"removed": count}) if terminal.as_json else terminal.note(
        f"Removed {counted(count, 'finished row')} from {place}."
    )


CHECKPOINTS: Final = (
    command(
        "list",
        _list,
        click.Argument(
            ["place"],
            metavar="[FOLDER|CHECKPOINT]",
            default=".",
            required=False,
            shell_complete=complete_file,
        ),
        help="""List the checkpoints in a folder, or the models in a database.

        The default is the current folder.""",
        examples=("dashscope checkpoints list",),
    ),
    command(
        "show",
        _show,
        PLACE,
        help="""Show how many rows of a checkpoint are finished.

        CHECKPOINT is a file, a folder or a postgresql:// URL. "running" rows had a running
        prediction at the last write. "unknown" rows may have one, which the next run looks for.""",
        examples=("dashscope checkpoints show in.sqlite",),
    ),
    command(
        "prune",
        _prune,
        PLACE,
        click.Option(["--model", "ref"], metavar="OWNER/NAME", help="Only rows of this model."),
        click.Option(
            ["--older-than", "days"],
            type=click.FloatRange(min=0),
            metavar="DAYS",
            help="Only rows that were created more than this many days ago.",
        ),
        help="""Remove finished rows from a checkpoint.

        A later run creates these rows again. Rows that may still be running stay.""",
        examples=("dashscope checkpoints prune in.sqlite --older-than 30",),
    ),
)
