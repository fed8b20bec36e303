"""How a command is made: its parameters, its help that teaches by example, `--json` and `-q`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import cleandoc
from typing import Any, Final

import click

from dashscope._common.urls import Reference
from dashscope.cli.session import endings
from dashscope.cli.terminal import Terminal

CANNOT_LISTEN: Final = 4
SOME_FAILED: Final = 5
EXIT_CODES: Final = """Exit codes:
0 it went well; 1 the API, the model or a file said no; 2 the command line is wrong;
3 another server has the data folder; 4 the address cannot be listened on (serve, webhooks
listen); 5 some rows of a batch failed; 130 Ctrl-C; 143 SIGTERM."""


class Program(click.Group):
    """The command `dashscope`: whatever ends it, ends it with a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
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
    """The argument that names a model, one version of it, or either of the two."""
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
    """The argument that is an object's id."""
    return click.Argument([what], metavar=f"{what.upper()}_ID")


REF: Final = reference()
MODEL: Final = reference(version=False)
VERSION: Final = reference(version=True)
TIMEOUT: Final = click.Option(
    ["--timeout"], type=click.FloatRange(min=0, min_open=True), help="Seconds it may take."
)
_JSON: Final = click.Option(
    ["--json", "as_json"], is_flag=True, help="Print JSON for programs, one value a line."
)
_QUIET: Final = click.Option(
    ["-q", "--quiet"], is_flag=True, help="Say nothing but the result and errors."
)


def command(
    name: str,
    function: Callable[..., object],
    *takes: click.Parameter,
    help: str,
    examples: Sequence[str],
) -> Command:
    """A command that calls `function(terminal, **values)`.

    Args:
        name: as it is typed.
        function: does it.
        takes: its arguments and options, beside `--json` and `--quiet`.
        help: what it does: a sentence, then what else there is to say.
        examples: the command as it is typed; tests run them.
    """
    return Command(
        name,
        examples=examples,
        help=help,
        callback=partial(_call, function),
        params=[*takes, _JSON, _QUIET],
    )


def group(name: str, *commands: Command, help: str) -> click.Group:
    """A command of commands; its help has the first example of each."""
    shown = [command.examples[0] for command in commands]
    return click.Group(
        name, commands=list(commands), help=_with_examples(help, shown), short_help=help
    )


def _with_examples(help: str, examples: Sequence[str]) -> str:
    # \b keeps click from filling the lines of a paragraph.
    return "\n".join((cleandoc(help), "", "\b", *examples))


def _call(function: Callable[..., object], *, as_json: bool, quiet: bool, **values: Any) -> None:
    function(Terminal(as_json=as_json, quiet=quiet), **values)
