"""The HTML of values in notebooks. Text is always escaped."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dashscope import BatchProgress, BatchResult, Model, Page, Prediction
from dashscope.testing import ModelServer
from dashscope.types import _notebook as html
from dashscope.types._structure import fitted
from tests.variants import variants

EVIL = "<script>alert(1)</script>"
ALLOWED = {
    "table", "thead", "tbody", "tr", "th", "td", "p", "div", "span", "pre", "details", "summary",
    "img", "audio", "video", "a",
}  # fmt: skip


class Reader(HTMLParser):
    """Parses HTML like a browser, and rejects unsafe elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found), found
        for name in ("src", "href"):
            url = (found.get(name) or "").lower()
            assert not url or url.startswith(("https://", "http://", "data:")), url
            assert not (tag == "a" and url.startswith("data:")), url
        self.tags.append((tag, found))

    def handle_data(self, data: str) -> None:
        self.said += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def prediction(**fields: Any) -> Prediction:
    return fitted({"id": "p1", "status": "succeeded", **fields}, Prediction)


def test_a_prediction_shows_its_input_and_output() -> None:
    found = prediction(
        model="me/draw",
        input={"prompt": "a hill", "size": 3},
        output=["https://example.com/a.png", "https://example.com/b.png?x=1&y=2"],
        logs="drawing",
        metrics={"predict_time": 1.5},
    )
    shown = read(found._repr_html_())
    images = [found for tag, found in shown.tags if tag == "img"]
    assert [image["src"] for image in images] == [
        "https://example.com/a.png",
        "https://example.com/b.png?x=1&y=2",
    ]
    assert [image["alt"] for image in images] == ["a.png", "b.png"]
    for text in ("p1", "me/draw", "succeeded", "a hill", "drawing", "1.50"):
        assert text in shown.said


def test_a_page_is_a_table() -> None:
    page = Page(results=(prediction(output=EVIL), prediction(status="failed")), next="more")
    shown = read(page._repr_html_())
    assert sum(tag == "tr" for tag, _ in shown.tags) == 3
    assert EVIL in shown.said
    assert "2 on this page, and there are more" in shown.said
    models = Page(results=(Model(owner="me", name="draw", description=EVIL),))
    assert EVIL in read(models._repr_html_()).said
    assert "0 on this page" in read(Page[Any](results=())._repr_html_()).said
    assert "<table>" in Page(results=("a", "b"))._repr_html_()


def test_a_batch_shows_its_progress_and_results() -> None:
    progress = BatchProgress(
        total=None, queued=1, running=2, done=3, failed=4, skipped=0, rate=1.0, elapsed=5.0,
        remaining=None,
    )  # fmt: skip
    assert "unknown" in read(progress._repr_html_()).said
    good = BatchResult(index=0, input={"a": EVIL}, output="https://example.com/a.mp4")
    assert [tag for tag, _ in read(good._repr_html_()).tags if tag == "video"] == ["video"]
    bad = BatchResult(index=0, input=EVIL, error=ValueError(EVIL))
    assert read(bad._repr_html_()).said.count(EVIL) == 2


@variants(
    ("url", "tag"),
    [
        ("https://example.com/a.png", "img"),
        ("HTTP://example.com/a.JPG", "img"),
        ("https://example.com/a.wav", "audio"),
        ("https://example.com/a.mp4", "video"),
        ("https://example.com/a.zip", "a"),
        ("data:image/png;base64,AAAA", "img"),
        ("data:audio/wav;base64,AAAA", "audio"),
        ("data:text/html,<script>alert(1)</script>", "span"),
        ("javascript:alert(1)", "span"),
        ("file:///etc/passwd", "span"),
        ('https://example.com/a.png" onerror="alert(1)', "span"),
        ("https://example.com/a.png'onerror='alert(1)", "a"),
        ('https://example.com/a.png"onerror="alert(1)', "a"),
        ("https://example.com/<script>.png", "img"),
    ],
)  # fmt: skip
def test_only_urls_become_links(url: str, tag: str) -> None:
    shown = read(html.value(url))
    assert [found for found, _ in shown.tags] == [tag]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([EVIL, '"><img src=x onerror=alert(1)>', "https://e.com/a.png", "'"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(JSON, st.text(), st.dictionaries(st.text(), JSON, max_size=2))
def test_model_output_is_escaped(output: Any, logs: str, input: Any) -> None:
    found = Prediction(id=logs or "x", status=logs or "x", output=output, logs=logs, input=input)
    read(found._repr_html_())
    read(Page(results=(found,))._repr_html_())
    read(BatchResult(index=0, input=input, output=output)._repr_html_())


def test_long_values_are_truncated() -> None:
    found = prediction(output="x" * 10_000_000, input={"rows": [EVIL] * 10_000})
    assert len(found._repr_html_()) < 30_000
    assert "10000000 characters" in found._repr_html_()
    many = prediction(output=["https://example.com/a.png"] * 1000)
    assert sum(tag == "img" for tag, _ in read(many._repr_html_()).tags) == 100


async def test_a_file_output_shows_its_content_and_a_batch_its_progress(
    dashscope_server: ModelServer, make_client: Any
) -> None:
    client = make_client(base_url=dashscope_server.base_url)
    image = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(image, "PNG")
    output = await client.run("dashscope/thumbnail", {"image": image.getvalue()})
    file = getattr(output, "file", output)
    assert [tag for tag, _ in read(file._repr_html_()).tags] == ["a", "img"]  # by its URL
    await output.read()
    assert [tag for tag, _ in read(file._repr_html_()).tags] == [
        "img"
    ]  # the length is known after reading
    batch = client.map("dashscope/hello-world", [{"text": "a"}])
    plain = getattr(batch, "_value", batch)
    assert "has not been entered" in plain._repr_html_()
    async with batch as results:
        await anext(results)
        assert "<table>" in plain._repr_html_()
