"""Commands that are one operation of the API: called by its name, its answer shown.

`resources` has the table of them. A command's arguments are the operation's, in their order; its
options are the operation's keywords; a reference stands for an owner and a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import click
from attrs import frozen

from dashscope import Client
from dashscope._common.urls import Reference
from dashscope.cli import show
from dashscope.cli.commands import Command, command
from dashscope.cli.session import session
from dashscope.cli.terminal import Terminal


def read_limit(text: str) -> int | None:
    """Read a number of items, or `all`.

    Raises:
        click.BadParameter: when it is neither.
    """
    if text == "all":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise click.BadParameter(f"{text!r} is neither a number of items nor all")
    return int(text)


LIMIT: Final = click.Option(
    ["--limit", "limit"],
    type=read_limit,
    metavar="N|all",
    default="20",
    show_default=True,
    help="How many to show at the most.",
)


@frozen(kw_only=True)
class Operation:
    """A command that is one operation.

    Attributes:
        name: the command, in its group.
        method: the operation, as a path of attributes of `Client`.
        help: what it does.
        examples: the command as it is typed.
        takes: its arguments and options.
        columns: for a list, how it is shown.
        is_paged: whether the list comes in pages.
        gives: how else the answer is shown; nothing for an operation that answers nothing.
    """

    name: str
    method: str
    help: str
    examples: tuple[str, ...]
    takes: tuple[click.Parameter, ...] = ()
    columns: show.Columns | None = None
    is_paged: bool = True
    gives: Callable[[Terminal, Any], None] | None = None

    def command(self) -> Command:
        """The command."""
        limit = (LIMIT,) if self.columns is not None and self.is_paged else ()
        return command(
            self.name,
            partial(_perform, self),
            *self.takes,
            *limit,
            help=self.help,
            examples=self.examples,
        )

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What the operation is called with."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for parameter in self.takes:
            assert parameter.name is not None
            value = values[parameter.name]
            if isinstance(value, Reference):
                parts = (value.owner, value.name, value.version)
                positional.extend(part for part in parts if part is not None)
            elif isinstance(parameter, click.Argument):
                positional.append(value)
            elif value is not None:
                named[parameter.name] = value
        return positional, named


def one(terminal: Terminal, item: Any) -> None:
    """An object: field by field, or its JSON as received."""
    terminal.line(item.raw) if terminal.as_json else show.fields(terminal, item)


def _perform(operation: Operation, terminal: Terminal, **values: Any) -> None:
    positional, named = operation.arguments(values)
    with session(terminal) as (client, _):
        if operation.columns is not None:
            items = _items(client, operation, positional, named)
            _list(terminal, operation.columns, items, values.get("limit"))
            return
        answer = attrgetter(operation.method)(client)(*positional, **named)
        if operation.gives is not None:
            operation.gives(terminal, answer)
        elif terminal.as_json:
            terminal.line({"deleted": "/".join(positional)})
        else:
            terminal.note("Deleted.")


def _items(
    client: Client, operation: Operation, positional: list[Any], named: dict[str, Any]
) -> Iterator[Any]:
    method = attrgetter(operation.method)(client)
    if operation.is_paged:
        return client.iterate(method, *positional, **named)
    return iter(method(*positional, **named))


def _list(
    terminal: Terminal, columns: show.Columns, items: Iterator[Any], limit: int | None
) -> None:
    shown = islice(items, limit)
    if terminal.as_json:
        for item in shown:
            terminal.line(item.raw)
    else:
        show.table(terminal, columns, shown)
    if next(items, None) is not None:
        terminal.note(f"These are the first {limit}; --limit all shows all.")
