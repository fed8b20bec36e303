"""`dashscope completion`: shell completion for commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dashscope.cli.terminal import Terminal

SHELLS = ("bash", "zsh", "fish")


def _complete(shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    program = click.get_current_context().find_root().command
    Terminal().text(kind(program, {}, "dashscope", "_DASHSCOPE_COMPLETE").source())


completion = click.Command(
    "completion",
    callback=_complete,
    short_help="Print a completion script for a shell.",
    params=[click.Argument(["shell"], type=click.Choice(SHELLS))],
    help="""Print a script that makes a shell complete commands, options and choices.

    \b
    eval "$(dashscope completion bash)"
    dashscope completion zsh > ~/.zfunc/_dashscope
    dashscope completion fish > ~/.config/fish/completions/dashscope.fish
    """,
)
