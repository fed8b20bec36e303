"""Commands that call one operation of the API and show its result.

`resources` contains their table. The arguments of a command are the positional arguments of the
operation, and its options are the keyword arguments. A reference becomes an owner and a name.
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
from dashscope.cli.commands import Command, command
from dashscope.cli.session import open_client
from dashscope.cli.show import Columns, fields, table
from dashscope.cli.terminal import Terminal


def read_limit(text: str) -> int | None:
    """Read a number of items, or `all`.

    Raises:
        click.BadParameter: The text is neither.
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
    help="The maximum number of items to show.",
)


@frozen(kw_only=True)
class Operation:
    """A command that calls one operation.

    Attributes:
        name: The name of the command in its group.
        method: The operation as a path of attributes of `Client`.
        help: What the command does.
        examples: Command lines for the help.
        parameters: The arguments and options.
        columns: The columns of a list.
        is_paged: Whether the operation returns pages.
        show: Shows the result, if it is not a list. `None` for operations without a result.
    """

    name: str
    method: str
    help: str
    examples: tuple[str, ...]
    parameters: tuple[click.Parameter, ...] = ()
    columns: Columns | None = None
    is_paged: bool = True
    show: Callable[[Terminal, Any], None] | None = None

    def command(self) -> Command:
        """Return the command."""
        limit = (LIMIT,) if self.columns is not None and self.is_paged else ()
        return command(
            self.name,
            partial(_perform, self),
            *self.parameters,
            *limit,
            help=self.help,
            examples=self.examples,
        )

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments of the operation."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for parameter in self.parameters:
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
    """Show an object: its fields, or its JSON as received."""
    terminal.line(item.raw) if terminal.as_json else fields(terminal, item)


def _perform(operation: Operation, terminal: Terminal, **values: Any) -> None:
    positional, named = operation.arguments(values)
    with open_client(terminal) as client:
        if operation.columns is not None:
            items = _items(client, operation, positional, named)
            _list(terminal, operation.columns, items, values.get("limit"))
            return
        result = attrgetter(operation.method)(client)(*positional, **named)
        if operation.show is not None:
            operation.show(terminal, result)
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


def _list(terminal: Terminal, columns: Columns, items: Iterator[Any], limit: int | None) -> None:
    shown = islice(items, limit)
    if terminal.as_json:
        for item in shown:
            terminal.line(item.raw)
    else:
        table(terminal, columns, shown)
    if next(items, None) is not None:
        terminal.note(f"Showing the first {limit}. To show all, pass --limit all.")
