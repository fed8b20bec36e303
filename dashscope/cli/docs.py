"""`dashscope docs`: the guides in a terminal."""

from __future__ import annotations

from typing import Final

import click

from dashscope import guides
from dashscope.cli.commands import command
from dashscope.cli.terminal import Terminal

WIDTH: Final = 100
"""The widest line of a guide on a terminal, in characters."""
_AS_COMMAND: Final = r"\1 (`dashscope docs \2`)"


def _docs(terminal: Terminal, *, topic: str | None) -> None:
    if topic is None:
        _list(terminal)
        return
    text = guides.read(topic)
    if terminal.as_json:
        terminal.line({"topic": topic, "title": guides.titles()[topic], "text": text})
    elif terminal.is_for_people:
        _render(terminal, guides.with_links(text, _AS_COMMAND))
    else:
        terminal.text(text)


def _list(terminal: Terminal) -> None:
    titles = guides.titles()
    width = max(map(len, titles))
    for topic, title in titles.items():
        if terminal.as_json:
            terminal.line({"topic": topic, "title": title})
        else:
            terminal.text(f"{topic:{width}}  {title}")
    if terminal.is_for_people:
        terminal.note("Show a guide with: dashscope docs TOPIC")


def _render(terminal: Terminal, text: str) -> None:
    from rich.markdown import Markdown

    width = min(terminal.out.width, WIDTH)
    terminal.out.print(Markdown(text, code_theme="ansi_dark"), width=width)


DOCS: Final = command(
    "docs",
    _docs,
    click.Argument(
        ["topic"], required=False, type=click.Choice(list(guides.titles())), metavar="[TOPIC]"
    ),
    help="""Show a guide, or list the guides.

    Without TOPIC, it lists all guides. A pipe or a file receives the guide as Markdown.
    """,
    examples=("dashscope docs", "dashscope docs quickstart", "dashscope docs quickstart --json"),
)
