"""The playground: a form, its result and its code on one page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from dashscope.local import LocalServer
from tests.local.page import studio
from tests.local.page.browser.conftest import DESKTOP, PHONE, Problems

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WEIGHT = 60_000


@pytest.fixture(scope="module")
def studio_root() -> Iterator[str]:
    with LocalServer(models=studio.MODELS) as server:
        yield server.base_url.removesuffix("/v1")


@pytest.fixture
def playground(chromium: Browser, studio_root: str) -> Iterator[Page]:
    """A page of a server with the studio models. The test fails if the page reports a problem."""
    context = chromium.new_context(base_url=studio_root, viewport=DESKTOP, locale="en-US")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(20_000)
    page = context.new_page()
    seen = Problems(page)
    yield page
    context.close()
    # The browser reports that a form was invalid.
    assert [problem for problem in seen.problems if "422" not in problem] == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


def topic(page: Page) -> Any:
    return page.get_by_label("Topic")


class TestPlayground:
    def test_shows_the_result_next_to_the_form(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/writer")
        # The form starts with the example of the model.
        expect(topic(page)).to_have_value("Rain")
        expect(page.locator("#output")).to_contain_text("Example")
        topic(page).fill("Snow")
        topic(page).press("Control+Enter")
        expect(page).to_have_url(re.compile(r"\?run=[a-z2-7]{26}$"))
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.locator(".markdown").get_by_role("heading", name="Snow")).to_be_visible()
        for label in ("Queued", "Loading", "Running", "Speed"):
            expect(page.locator("#measures")).to_contain_text(label)
        first = page.url
        # The form stays while its inputs change, and the browser can go back to earlier runs.
        topic(page).fill("Fog")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".markdown").get_by_role("heading", name="Fog")).to_be_visible()
        page.go_back()
        expect(page).to_have_url(first)
        expect(page.locator(".markdown").get_by_role("heading", name="Snow")).to_be_visible()
        page.reload()
        expect(topic(page)).to_have_value("Snow")
        expect(page.locator(".markdown").get_by_role("heading", name="Snow")).to_be_visible()
        # The raw text of the model.
        page.get_by_label("Plain text", exact=True).first.check(force=True)
        expect(page.locator("#output-source")).to_contain_text("# Snow")
        expect(page.locator(".markdown")).to_be_hidden()
        page.get_by_role("button", name="Use as topic").click()
        expect(topic(page)).to_have_value(re.compile("# Snow"))

    def test_streams_and_cancels(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/writer")
        page.get_by_label("Delay").fill("2")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#text")).to_contain_text("# Rain")
        topic(page).fill("typed while it runs")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#status")).to_contain_text("canceled")
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        expect(topic(page)).to_have_value("typed while it runs")
        expect(page).to_have_url(re.compile(r"\?run="))

    def test_updates_the_code_while_typing(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/writer")
        topic(page).fill('a "quoted" topic')
        code = page.get_by_label("Python code", exact=True)
        expect(code).to_contain_text('"topic": "a \\"quoted\\" topic"')
        page.get_by_label("curl", exact=True).check(force=True)
        expect(code).to_be_hidden()
        curl = page.get_by_label("curl code")
        expect(curl).to_contain_text("/v1/models/studio/writer/predictions")
        page.locator("[data-language=curl]").get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == (curl.text_content() or "").strip()
        # The chosen language is kept on other pages.
        page.goto("/web/models/studio/landscape")
        expect(page.get_by_label("curl code")).to_be_visible()

    def test_field_controls(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/writer")
        page.get_by_label("Temperature slider").fill("1.5")
        expect(page.get_by_label("Temperature", exact=True)).to_have_value("1.5")
        page.get_by_label("Temperature", exact=True).fill("0.25")
        expect(page.get_by_label("Temperature slider")).to_have_value("0.25")
        page.get_by_role("button", name="Random").click()
        expect(page.get_by_label("Seed")).to_have_value(re.compile("^[0-9]+$"))
        for word in ("one", "two", "three"):
            page.get_by_role("button", name="Add to Words").click()
            page.keyboard.type(word)
        page.get_by_role("button", name="Remove Words 2").click()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".markdown li")).to_have_text(["one", "three"])
        page.goto("/web/models/studio/landscape")
        page.get_by_label("Prompt").fill("x")
        page.get_by_label("noon").check(force=True)
        page.get_by_label("Count", exact=True).fill("1")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("link", name="Details").click()
        expect(page.locator("#input")).to_contain_text("noon")

    def test_shows_errors_next_to_the_field(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/writer")
        topic(page).fill("kept")
        temperature = page.get_by_label("Temperature", exact=True)
        temperature.fill("3")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#problems")).to_be_focused()
        expect(temperature).to_have_accessible_description(re.compile("Must be at most 2"))
        expect(topic(page)).to_have_value("kept")
        temperature.fill("1")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.locator("#problems")).to_have_count(0)

    def test_accepts_files_and_shows_images(self, playground: Page, photo: Path) -> None:
        page = playground
        page.goto("/web/models/studio/gray")

        def give(how: str, name: str) -> None:
            page.evaluate(
                """([bytes, how, name]) => {
                    const dataTransfer = new DataTransfer(), type = "image/png";
                    dataTransfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
                    const options = {dataTransfer, bubbles: true, cancelable: true};
                    const event = how === "drop" ? new DragEvent("drop", options)
                        : new ClipboardEvent("paste", {...options, clipboardData: dataTransfer});
                    document.querySelector(how === "drop" ? ".drop" : "#input-image")
                        .dispatchEvent(event); }""",
                [list(photo.read_bytes()), how, name],
            )

        # Pasted like a copied picture, then dropped like a file from the desktop.
        for how, name in (("paste", "pasted.png"), ("drop", "dropped.png")):
            give(how, name)
            preview = page.locator("#input-image-shown").get_by_role("img", name=name)
            expect(preview).to_be_visible()
        assert preview.evaluate("async image => (await image.decode(), image.naturalWidth)") == 256
        expect(page.get_by_label("Python code", exact=True)).to_contain_text("/v1/files/")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("img", name="Output: gray.png")).to_be_visible()
        page.get_by_role("button", name="Compare with the input").click()
        slider = page.get_by_label("Share of the input")
        slider.fill("100")
        expect(page.get_by_role("dialog").get_by_role("img")).to_have_count(2)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Use as mask").click()
        expect(page.locator("#input-mask-shown").get_by_role("img")).to_be_visible()
        expect(page.get_by_label("Mask", exact=True)).to_have_value(re.compile("/v1/files/"))

    def test_images_can_be_enlarged(self, playground: Page) -> None:
        page = playground
        page.goto("/web/models/studio/landscape")
        page.get_by_label("Prompt").fill("hills")
        page.get_by_label("Count", exact=True).fill("2")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("link", name="Output 1").click()
        dialog = page.get_by_role("dialog", name="Image")
        expect(dialog).to_contain_text("1 of 2")
        page.keyboard.press("ArrowRight")
        expect(dialog).to_contain_text("2 of 2")
        expect(dialog.get_by_role("img")).to_have_attribute("alt", re.compile("Output 2"))
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)

    def test_on_a_phone_the_result_scrolls_into_view(
        self, chromium: Browser, studio_root: str
    ) -> None:
        context = chromium.new_context(base_url=studio_root, viewport=PHONE)
        page = context.new_page()
        page.goto("/web/models/studio/writer")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.locator("#output")).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        context.close()


class TestLists:
    def test_lists_are_filtered_while_typing_and_updated(
        self, playground: Page, studio_root: str
    ) -> None:
        page = playground

        def create(name: str, text: str) -> str:
            body = {"input": {"topic": text}}
            response = httpx.post(f"{studio_root}/v1/models/{name}/predictions", json=body)
            job_id: str = response.json()["id"]
            return job_id

        other, wanted = create("studio/writer", "another"), create("studio/writer", "wanted word")
        page.goto("/web/predictions")
        expect(page.locator(f"#row-{other}")).to_be_visible()
        page.get_by_label("Search").press_sequentially("wanted")
        expect(page.locator(f"#row-{other}")).to_have_count(0)
        expect(page.locator(f"#row-{wanted}")).to_be_visible()
        expect(page).to_have_url(re.compile("q=wanted"))
        later = create("studio/writer", "wanted too")
        create("studio/writer", "not this one")
        expect(page.locator(f"#row-{later}")).to_be_visible()
        assert page.locator("#rows > li").count() == 2
        page.get_by_label("Status").select_option("failed")
        expect(page.get_by_text("No prediction matches the filters.")).to_be_visible()

    def test_scrolling_loads_older_rows(self, playground: Page, studio_root: str) -> None:
        with httpx.Client(base_url=studio_root) as client:
            for number in range(220):
                body = {"input": {"topic": f"{number}", "delay": 0}}
                client.post("/v1/models/studio/writer/predictions", json=body)
        page = playground
        page.goto("/web/predictions")
        rows = page.locator(".rows > li")
        for _ in range(50):
            page.mouse.wheel(0, 5000)
            if rows.count() >= 220:
                break
            page.wait_for_timeout(50)
        ids = page.evaluate("[...document.querySelectorAll('.rows > li')].map(row => row.id)")
        assert len(ids) >= 220
        # Each page of rows is a separate list.
        assert page.get_by_role("list", name="Predictions, newest first, page").count() > 1
        assert len(set(ids)) == len(ids)


def test_pages_are_small(playground: Page) -> None:
    """A page with its styles and scripts has at most 60 KB when compressed."""
    for path in (
        "/", "/web/predictions", "/web/docs", "/web/models/studio/writer",
        "/web/models/studio/writer/api",
    ):  # fmt: skip
        playground.goto(path)
        weight = playground.evaluate(
            """() => [...performance.getEntriesByType("navigation"),
                ...performance.getEntriesByType("resource")]
                .filter(({name}) => !name.includes("/events"))
                .reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0)"""
        )
        assert 10_000 < weight <= WEIGHT, path
