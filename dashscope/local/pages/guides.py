"""The guides as pages."""

from __future__ import annotations

import functools
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashscope import guides
from dashscope.local.http.address import base_path
from dashscope.local.http.problems import ProblemError
from dashscope.local.pages.templating import PREFIX, page

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_AS_PAGE: Final = r"[\1]({prefix}/guides/\2\3)"


async def show_guides(request: Request) -> Response:
    """Show the list of the guides."""
    return page(request, "guides.html", titles=_titles(), summaries=_summaries())


@functools.cache
def _titles() -> dict[str, str]:
    return guides.titles()


@functools.cache
def _summaries() -> dict[str, str]:
    return {topic: guides.summary(topic) for topic in _titles()}


async def show_guide(request: Request) -> Response:
    """Show one guide."""
    topic: str = request.path_params["topic"]
    if topic not in _titles():
        raise ProblemError(HTTPStatus.NOT_FOUND, "This guide does not exist.")
    text = _rendered(topic, f"{base_path(request)}{PREFIX}")
    return page(request, "guide.html", topic=topic, titles=_titles(), text=text)


@functools.lru_cache(100)
def _rendered(topic: str, prefix: str) -> str:
    link = _AS_PAGE.format(prefix=prefix.replace("\\", r"\\"))
    return render(guides.with_links(guides.read(topic), link).partition("\n")[2])


@functools.cache
def _markdown() -> MarkdownIt:
    # Importing the parser takes about as long as starting the server.
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def render(text: str) -> str:
    """Convert Markdown to HTML. Markup in the text is escaped, and headings get ids."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _slug(following))
        # The content security policy forbids style attributes.
        if "style" in token.attrs:
            token.attrSet("class", str(token.attrs.pop("style")).replace("text-align:", ""))
    rendered: Any = markdown.renderer.render(tokens, markdown.options, {})
    return str(rendered)


def _slug(heading: Token) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in heading.content.lower())
    return "-".join(words.split())


ROUTES: Final = [
    Route("/guides", show_guides),
    Route("/guides/{topic}", show_guide),
]
