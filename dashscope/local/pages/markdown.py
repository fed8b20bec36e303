"""Rendered Markdown for outputs and readmes."""

import asyncio
import functools
import re
from typing import Final

from markupsafe import Markup

MARKDOWN_LIMIT: Final = 100_000
"""Maximum characters of a text that is rendered. Longer texts stay plain."""

_MARKS: Final = re.compile(
    r"^ {0,3}(?:#{1,6} |[-*+] \S|[0-9]{1,9}[.)] \S|> |```|~~~|\|.*\|)"  # blocks
    r"|\*\*\S|(?<!\w)__\S|`[^`\n]+`|\[[^\]\n]{1,200}\]\([^)\s]{1,2000}",  # text
    re.MULTILINE,
)


@functools.lru_cache(maxsize=64)
def render_markdown(text: str) -> Markup:
    """Return the HTML of a Markdown text. HTML in the text stays text."""
    # Importing the parser takes about as long as starting the server.
    from dashscope.local.pages.markdown_html import render

    return render(text)


def looks_like_markdown(text: str) -> bool:
    """Return whether a text has headings, lists, code, links or other marks of Markdown."""
    return len(text) <= MARKDOWN_LIMIT and _MARKS.search(text) is not None


async def render_in_thread(text: str) -> Markup:
    """Render a text in a thread, because a hostile text can take seconds to parse."""
    return await asyncio.to_thread(render_markdown, text)


async def markdown_of(text: str) -> Markup | None:
    """Return the HTML of a text that looks like Markdown, or None."""
    return await render_in_thread(text) if looks_like_markdown(text) else None
