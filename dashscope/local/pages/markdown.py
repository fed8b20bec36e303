"""Renders Markdown that models write. The result contains only elements made here."""

import asyncio
import functools
import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

MARKDOWN_LIMIT: Final = 100_000
"""Maximum characters of a text that is rendered. Longer texts stay plain."""

MAX_NESTING: Final = 12
"""Maximum depth of nested lists and quotes. Parsing takes time in proportion to the depth."""

_SAFE_LINK: Final = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
_MARKS: Final = re.compile(
    r"^ {0,3}(?:#{1,6} |[-*+] \S|[0-9]{1,9}[.)] \S|> |```|~~~|\|.*\|)"  # blocks
    r"|\*\*\S|(?<!\w)__\S|`[^`\n]+`|\[[^\]\n]{1,200}\]\([^)\s]{1,2000}",  # text
    re.MULTILINE,
)


class _Renderer(RendererHTML):
    """Renders images as links, so that pages load nothing from other sites."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render an image as a link to the image."""
        token = tokens[idx]
        label = self.renderInlineAsText(token.children or [], options, env)
        link = Markup('<a href="{}" rel="{}">{}</a>')
        return str(link.format(token.attrs.get("src", ""), _REL, label or "image"))

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Render the start of a link that does not vouch for its target."""
        tokens[idx].attrSet("rel", _REL)
        return self.renderToken(tokens, idx, options, env)

    def heading_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Render the start of a heading, below the headings of the page and without a gap."""
        wanted = int(tokens[idx].tag[1:]) + PAGE_LEVELS
        level = min(wanted, env.get("level", PAGE_LEVELS) + 1, 6)
        env["level"] = level
        tokens[idx].tag = tokens[idx + 2].tag = f"h{level}"
        tokens[idx].attrSet("class", f"size-{wanted - PAGE_LEVELS}")
        return self.renderToken(tokens, idx, options, env)


PAGE_LEVELS: Final = 2
"""Levels of headings that the page itself has."""

_REL: Final = "noopener noreferrer nofollow"


def _is_safe(url: str) -> bool:
    return _SAFE_LINK.match(url) is not None


def _parser() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable("reference")
    parser.validateLink = _is_safe  # type: ignore[method-assign]
    return parser


@functools.lru_cache(maxsize=64)
def render_markdown(text: str) -> Markup:
    """Return the HTML of a Markdown text. HTML in the text stays text."""
    html: Any = _parser().render(text)
    return Markup(html)  # noqa: S704


def looks_like_markdown(text: str) -> bool:
    """Return whether a text has headings, lists, code, links or other marks of Markdown."""
    return len(text) <= MARKDOWN_LIMIT and _MARKS.search(text) is not None


async def render_in_thread(text: str) -> Markup:
    """Render a text in a thread, because a hostile text can take seconds to parse."""
    return await asyncio.to_thread(render_markdown, text)


async def markdown_of(text: str) -> Markup | None:
    """Return the HTML of a text that looks like Markdown, or None."""
    return await render_in_thread(text) if looks_like_markdown(text) else None
