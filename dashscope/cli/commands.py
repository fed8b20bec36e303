"""Building blocks of commands: parameters, help with examples, `--json` and `-q`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import cleandoc
from typing import Any, Final

import click

from dashscope._common.urls import Reference
from dashscope.cli.session import endings
from dashscope.cli.terminal import Terminal, prepare_streams

CANNOT_LISTEN: Final = 4
SOME_FAILED: Final = 5
EXIT_CODES: Final = """Exit codes:
0 success; 1 an error of the API, the model or a file; 2 an invalid command line;
3 another server uses the data folder; 4 cannot listen on the address (serve, webhooks
listen); 5 some rows of a batch failed; 130 Ctrl-C; 143 SIGTERM."""


class Program(click.Group):
    """The command `dashscope`."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line with streams that can print any text."""
        prepare_streams()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an exception becomes a message and an exit code."""
        with endings():
            return super().invoke(ctx)


class Command(click.Command):
    """A command with examples."""

    def __init__(self, name: str, *, examples: Sequence[str], help: str, **options: Any) -> None:
        super().__init__(
            name,
            help=_with_examples(help, examples),
            short_help=help.partition("\n")[0],
            **options,
        )
        self.examples = tuple(examples)


def reference(*, version: bool | None = None) -> click.Argument:
    """Return the argument that names a model.

    Args:
        version: Whether the reference has a version. `None` means that it can have one.
    """
    metavar = {
        None: "OWNER/NAME[:VERSION]",
        True: "OWNER/NAME:VERSION",
        False: "OWNER/NAME",
    }[version]

    def read(text: str) -> Reference:
        try:
            found = Reference.parse(text)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error
        if version is not None and version is not (found.version is not None):
            raise click.BadParameter(f"{text!r} is not {metavar.lower()}")
        return found

    return click.Argument(["ref"], type=read, metavar=metavar)


def id_of(what: str) -> click.Argument:
    """Return the argument for the id of an object."""
    return click.Argument([what], metavar=f"{what.upper()}_ID")


REF: Final = reference()
MODEL: Final = reference(version=False)
VERSION: Final = reference(version=True)
TIMEOUT: Final = click.Option(
    ["--timeout"],
    type=click.FloatRange(min=0, min_open=True),
    help="The maximum time in seconds.",
)
_JSON: Final = click.Option(
    ["--json", "as_json"], is_flag=True, help="Print JSON, one value per line."
)
_QUIET: Final = click.Option(["-q", "--quiet"], is_flag=True, help="Print only results and errors.")


def command(
    name: str,
    function: Callable[..., object],
    *parameters: click.Parameter,
    help: str,
    examples: Sequence[str],
) -> Command:
    """Return a command that calls `function(terminal, **values)`.

    Args:
        name: The name of the command.
        function: Runs the command.
        parameters: Its arguments and options, besides `--json` and `--quiet`.
        help: What it does: a summary line, then details.
        examples: Command lines for the help. Tests run them.
    """
    return Command(
        name,
        examples=examples,
        help=help,
        callback=partial(_call, function),
        params=[*parameters, _JSON, _QUIET],
    )


def group(name: str, *commands: Command, help: str) -> click.Group:
    """Return a group of commands. Its help shows the first example of each."""
    shown = [command.examples[0] for command in commands]
    return click.Group(
        name, commands=list(commands), help=_with_examples(help, shown), short_help=help
    )


def _with_examples(help: str, examples: Sequence[str]) -> str:
    # \b prevents click from rewrapping the paragraph.
    return "\n".join((cleandoc(help), "", "\b", *examples))


def _call(function: Callable[..., object], *, as_json: bool, quiet: bool, **values: Any) -> None:
    function(Terminal(as_json=as_json, quiet=quiet), **values)
