"""`dashscope models stubs`: typed stubs of models, for an editor and a type checker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from dashscope.cli.commands import command
from dashscope.cli.session import open_client
from dashscope.cli.terminal import Terminal
from dashscope.stubs import fetch, stubs


def _stubs(terminal: Terminal, *, refs: Sequence[str], blocking: bool) -> None:
    with open_client(terminal) as client:
        text = stubs(fetch(client, refs), blocking=blocking)
    terminal.line({"stub": text}) if terminal.as_json else terminal.text(text)


STUBS: Final = command(
    "stubs",
    _stubs,
    click.Argument(["refs"], nargs=-1, required=True, metavar="OWNER/NAME[:VERSION]..."),
    click.Option(["--blocking"], is_flag=True, help="For the functions of a Client."),
    help="""Print typed stubs of models.

    Where models.py has `hello_world = client.use("dashscope/hello-world")`, the models.pyi beside
    it (dashscope models stubs ... > models.pyi) tells an editor and a type checker what it takes.
    """,
    examples=("dashscope models stubs dashscope/hello-world dashscope/thumbnail",),
)
