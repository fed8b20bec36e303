"""Renders Markdown with ``markdown-it-py``. Import it only when needed, see ``markdown.py``."""

import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

MAX_NESTING: Final = 12
"""Maximum depth of nested lists and quotes. Parsing takes time in proportion to the depth."""

PAGE_LEVELS: Final = 2
"""Levels of headings that the page itself has."""

_REL: Final = "noopener noreferrer nofollow"
_SAFE_LINK: Final = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


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

    def renderToken(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Render a token. The alignment of a cell becomes a class: pages allow no styles."""
        style = tokens[idx].attrs.pop("style", None)
        if style is not None:
            tokens[idx].attrSet("class", str(style).removeprefix("text-align:"))
        return super().renderToken(tokens, idx, options, env)


def _is_safe(url: str) -> bool:
    return _SAFE_LINK.match(url) is not None


def _parser() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable("reference")
    parser.validateLink = _is_safe  # type: ignore[method-assign]
    return parser


def render(text: str) -> Markup:
    """Return the HTML of a Markdown text. HTML in the text stays text."""
    html: Any = _parser().render(text)
    return Markup(html)  # noqa: S704
