"""Markdown of models becomes a few safe elements."""

import time

import httpx
import pytest

from dashscope.local.pages.markdown import MARKDOWN_LIMIT, looks_like_markdown, render_markdown
from tests.local.page.test_content import NASTY, harmless
from tests.variants import variants


class TestMarkdown:
    def test_markdown_is_rendered(self) -> None:
        html = render_markdown(
            "## A\n\n- *b* `c`\n\n|d|\n|-:|\n|e|\n\n~~f~~ **g**\nh\n\n```py\ni<j\n```"
        )
        for part in (
            '<h3 class="size-2">A</h3>', "<li><em>b</em> <code>c</code></li>",
            '<td class="right">e</td>',
            "<s>f</s> <strong>g</strong><br", 'class="language-py">i&lt;j',
        ):  # fmt: skip
            assert part in html

    def test_heading_levels_have_no_gaps(self) -> None:
        html = render_markdown("#### a\n# b\n###### c")
        assert [part[:1] for part in html.split("<h")[1:]] == ["3", "3", "4"]

    def test_images_become_links(self) -> None:
        html = render_markdown("![alt](https://example.com/x.png) ![](https://example.com/y.png)")
        assert "<img" not in html
        assert 'href="https://example.com/x.png" rel="noopener noreferrer nofollow">alt</a>' in html
        assert ">image</a>" in html

    @variants("text", NASTY)
    def test_html_is_escaped(self, text: str) -> None:
        forms = (text, f"[x]({text})", f"![x]({text})", f"<{text}>", f"# {text}", f"```{text}\n```",
                 f"[x]: {text}\n\n[x]", f"|{text}|\n|-|\n|{text}|")  # fmt: skip
        for form in forms:
            page = httpx.Response(
                200,
                text=f'<script src="/web/assets/page.js"></script>{render_markdown(form)}',
                headers={"content-type": "text/html; charset=utf-8"},
            )
            parsed = harmless(page)
            assert not parsed.all("img", "a") or all(
                link["href"].startswith("https://") for link in parsed.all("a")
            )

    def test_plain_text_stays_plain(self) -> None:
        for text in ("hello", "3\n2\n1", "a * b * c", "1.5 > 1", "snake_case_name"):
            assert not looks_like_markdown(text)
        for text in ("# a", "text\n\n- a\n- b", "**a**", "see `code`", "[a](https://b.c)"):
            assert looks_like_markdown(text)
        assert not looks_like_markdown("# a" + " " * MARKDOWN_LIMIT)

    @pytest.mark.parametrize(
        "text",
        ["> " * 30_000, "[" * 40_000, "|a" * 8_000 + "\n" + "|-" * 8_000,
         *(pytest.param(text, marks=pytest.mark.soak) for text in (
             "- " * 30_000, "![](" * 8_000, "**a " * 8_000, ("> " * 50 + "a\n") * 600)
         )],
        ids=lambda text: text[:4],
    )  # fmt: skip
    def test_a_hostile_text_is_rendered_in_time(self, text: str) -> None:
        started = time.thread_time()
        looks_like_markdown(text)
        assert time.thread_time() - started < 1
        render_markdown(text)
        assert time.thread_time() - started < 20
