"""`dashscope models stubs`: typed stubs of models for editors and type checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from dashscope.cli.commands import command
from dashscope.cli.session import open_client
from dashscope.cli.terminal import Terminal
from dashscope.stubs import stubs_for


def _stubs(terminal: Terminal, *, refs: Sequence[str], blocking: bool) -> None:
    with open_client(terminal) as client:
        text = stubs_for(client, refs, blocking=blocking)
    terminal.line({"stub": text}) if terminal.as_json else terminal.text(text)


STUBS: Final = command(
    "stubs",
    _stubs,
    click.Argument(
        ["refs"], nargs=-1, required=True, metavar="MODELS.PY | OWNER/NAME[:VERSION]..."
    ),
    click.Option(
        ["--blocking"], is_flag=True, help="Write stubs for a Client. Default: for an AsyncClient."
    ),
    help="""Print typed stubs of models.

    If models.py contains `hello_world = client.use("dashscope/hello-world")`, write the stubs of
    models.py to models.pyi next to it. Editors and type checkers then know the inputs and the
    output. The functions are sync or async like the client in models.py.
    """,
    examples=("dashscope models stubs dashscope/hello-world dashscope/thumbnail",),
)
