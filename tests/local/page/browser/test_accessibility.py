"""Accessibility of the pages: keyboard, screen readers, phones, and large amounts of data."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.local.page.browser.conftest import PHONE, Run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


TABS = ("api", "examples", "versions", "runs", "readme")


class TestAccessibility:
    @pytest.fixture
    def paths(self, run: Run, create: Run, http: Any) -> list[str]:
        message = {"input": {"text": "x"}, "webhook": "http://127.0.0.1:9/hook"}
        hooked = http.post("/models/dashscope/hello-world/predictions", json=message).json()
        predictions = [
            run("test/image", width=40), run("test/fails"), run("test/files", text="x"),
            run("test/echo", value={"a": 1}), run("test/parts"),
            create("dashscope/countdown", start=600), hooked,
        ]  # fmt: skip
        return [
            "/web/", "/web/predictions", "/web/trainings", "/web/webhooks", "/web/deployments",
            "/web/files", "/web/collections", "/web/hardware", "/web/docs", "/web/nope",
            "/web/models/test/typed", "/web/models/test/read", "/web/models/dashscope/markov/train",
            *(f"/web/models/dashscope/hello-world/{tab}" for tab in TABS),
            *(f"/web/models/{p['model']}?run={p['id']}" for p in predictions[:5]),
            *(f"/web/predictions/{prediction['id']}" for prediction in predictions),
        ]  # fmt: skip

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_no_violation(
        self, chromium: Browser, root: str, paths: list[str], scheme: Any
    ) -> None:
        context = chromium.new_context(base_url=root, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        for path in paths:
            page.goto(path)
            page.get_by_role("main").wait_for()
            if path.startswith("/web/models/test/") and "run=" not in path:
                # The same applies with errors next to the fields.
                page.get_by_role("button", name="Run", exact=True).click()
                page.locator("#problems").wait_for()
            found = Axe().run(page)
            assert found.violations_count == 0, (path, found.generate_report())
        context.close()

    def test_the_keyboard_is_enough(self, page: Page) -> None:
        page.goto("/web/models/dashscope/hello-world")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.get_by_label("Text").evaluate("field => field === document.activeElement"):
                break
        page.keyboard.press("Control+A")
        page.keyboard.type("keys")
        for _ in range(5):
            page.keyboard.press("Tab")
            button = page.get_by_role("button", name="Run", exact=True)
            if button.evaluate("button => button === document.activeElement"):
                break
        page.keyboard.press("Enter")
        expect(page.locator("#output")).to_contain_text("hello keys")

    def test_focus_moves_to_the_invalid_field(self, chromium: Browser, root: str) -> None:
        context = chromium.new_context(base_url=root)
        page = context.new_page()
        page.goto("/web/models/test/typed")
        count = page.get_by_label("Count", exact=True)
        count.fill("11")
        page.get_by_label("Text").fill("x")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#problems")).to_be_focused()
        page.get_by_role("link", name="count").click()
        expect(count).to_be_focused()
        expect(count).to_have_value("11")
        expect(count).to_have_accessible_description(re.compile("How many.*Must be at most 10"))
        # An error disappears when its field changes.
        count.fill("10")
        expect(page.locator("#input-count-problem")).to_have_count(0)
        context.close()

    @pytest.mark.parametrize("width", [320, 360, PHONE["width"]])
    def test_pages_do_not_scroll_sideways_on_a_phone(
        self, chromium: Browser, root: str, paths: list[str], run: Run, width: int
    ) -> None:
        screen = {**PHONE, "width": width}
        # A viewport as wide as a phone. A real phone would shrink a page that is too wide.
        context = chromium.new_context(base_url=root, viewport=screen, has_touch=True)
        page = context.new_page()
        long = run("test/echo", value={"x" * 200: ["y" * 2000, "http://a.example/" + "z" * 900]})
        for path in [*paths, f"/web/predictions/{long['id']}"]:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            small = page.evaluate(
                "[...document.querySelectorAll('button:not(.tool), .button, nav a, .row')]"
                ".filter(it => it.offsetHeight && it.offsetHeight < 32).map(it => it.outerHTML)"
            )
            assert small == [], path
        context.close()

    def test_long_lists_and_outputs_stay_responsive(self, page: Page, create: Run) -> None:
        prediction = create("test/floods", megabytes=30)
        page.goto(prediction["urls"]["web"])
        # The longest time that the page was blocked during the flood.
        page.evaluate("""() => {
            window.longest = 0;
            let last = performance.now();
            setInterval(() => { const now = performance.now();
                longest = Math.max(longest, now - last); last = now; }, 20);
        }""")
        expect(page.locator("#status")).to_contain_text("succeeded", timeout=60_000)
        expect(page.locator("#log")).to_contain_text("the last line")
        assert page.evaluate("document.getElementById('log').textContent.length") < 200_000
        assert page.evaluate("longest") < 2000
