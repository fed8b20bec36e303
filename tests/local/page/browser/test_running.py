"""Using the pages: run a model, watch it, cancel it, run it again."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.local.page import studio
from tests.local.page.browser.conftest import PHONE, Run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SCREENSHOT = Path(studio.__file__).with_name("screenshot.png")


class TestRunning:
    def test_run_from_the_form_and_watch_the_stream(self, page: Page) -> None:
        page.goto("/web/?q=countdown")
        page.get_by_role("link", name="dashscope/countdown").first.click()
        page.get_by_label("Start", exact=True).fill("30")
        page.get_by_label("Delay", exact=True).fill("0.1")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page).to_have_url(re.compile(r"/web/models/dashscope/countdown\?run=[a-z2-7]{26}$"))
        expect(page.locator("#status")).to_contain_text("running")
        output = page.get_by_role("log", name="Output")
        expect(output).to_contain_text("28")
        assert "\n2\n" not in output.inner_text()
        expect(page.get_by_label("Progress")).to_be_visible()
        expect(page.locator("#status")).to_contain_text("succeeded")
        whole = "\n".join(str(number) for number in range(30, -1, -1))
        assert output.inner_text().strip() == whole
        expect(page.locator("#log")).to_contain_text("31/31")
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)

    def test_a_fast_stream_is_complete(self, page: Page) -> None:
        page.goto("/web/models/dashscope/markov")
        page.get_by_label("Length", exact=True).fill("5000")
        page.get_by_label("Seed", exact=True).fill("1")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.locator("#text")).to_have_attribute("aria-busy", "false")
        shown = page.locator("#text").text_content() or ""
        path = "/web/predictions/" + page.url.partition("?run=")[2] + "/json"
        whole = page.evaluate("path => fetch(path).then(answer => answer.json())", path)
        assert shown == "".join(whole["output"])

    def test_appended_text_has_no_gaps_or_duplicates(self, page: Page, create: Run) -> None:
        prediction = create("test/parts", count=150, delay=0.02)
        page.goto(prediction["urls"]["web"])
        page.evaluate("""() => {
            window.states = [];
            const look = () => { const text = document.getElementById("text");
                if (text) states.push(text.textContent); requestAnimationFrame(look); };
            look();
        }""")
        expect(page.locator("#status")).to_contain_text("succeeded")
        whole = "".join(f"{number} " for number in range(150))
        states = page.evaluate("[...new Set(window.states)]")
        assert len(states) > 10
        assert all(whole.startswith(state) for state in states)

    def test_an_image_is_shown(self, page: Page, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (200, 100), "teal").save(tmp_path / "photo.png")
        page.goto("/web/models/dashscope/thumbnail")
        page.get_by_label("Image: a file to upload").set_input_files(tmp_path / "photo.png")
        # The file is uploaded at once, and its preview is shown.
        expect(page.locator("#input-image-shown").get_by_role("img")).to_be_visible()
        page.get_by_label("Width", exact=True).fill("50")
        page.get_by_role("button", name="Run", exact=True).click()
        image = page.get_by_role("img", name="Output: thumbnail.png")
        expect(image).to_be_visible()
        assert image.evaluate("async image => (await image.decode(), image.naturalWidth)") == 50

    def test_cancel_a_prediction(self, page: Page, create: Run) -> None:
        page.goto(create("test/sleep")["urls"]["web"])
        expect(page.locator("#log")).to_contain_text("sleeping")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#status")).to_contain_text("canceled")

    def test_rerun_a_prediction(self, page: Page, run: Run) -> None:
        page.goto(run("dashscope/hello-world", text="again")["urls"]["web"])
        before = page.url
        page.get_by_role("button", name="Run again").click()
        page.wait_for_url(lambda url: url != before)
        expect(page.locator("#output")).to_contain_text("hello again")

    def test_rerun_with_another_input(self, page: Page, run: Run) -> None:
        page.goto(run("dashscope/hello-world", text="Alice")["urls"]["web"])
        page.get_by_role("link", name="Open in playground").click()
        expect(page.get_by_label("Text")).to_have_value("Alice")
        page.get_by_label("Text").fill("Bob")
        page.get_by_label("Text").press("Control+Enter")
        expect(page.locator("#output")).to_contain_text("hello Bob")

    def test_lists_are_updated(self, page: Page, create: Run, http: Any) -> None:
        page.goto("/web/predictions")
        prediction = create("test/sleep")
        entry = page.locator(f"#row-{prediction['id']}")
        expect(entry).to_contain_text("running")
        entry.get_by_role("link").focus()
        http.post(prediction["urls"]["cancel"])
        expect(entry).to_contain_text("canceled")
        # An element that is replaced keeps the focus.
        expect(entry.get_by_role("link")).to_be_focused()

    def test_a_form_with_input_is_not_reloaded(self, page: Page, create: Run) -> None:
        prediction = create("dashscope/countdown", start=3, delay=0.2)
        page.goto(f"/web/models/dashscope/countdown?run={prediction['id']}")
        page.get_by_label("Start", exact=True).fill("77")
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.get_by_label("Start", exact=True)).to_have_value("77")

    def test_trainings_show_their_version(self, page: Page, tmp_path: Path) -> None:
        (tmp_path / "words.txt").write_text("to be or not to be that is the question " * 3)
        page.goto("/web/models/dashscope/markov/train")
        page.get_by_label("Text: a file to upload").set_input_files(tmp_path / "words.txt")
        page.get_by_label("Destination").fill("local/bard")
        expect(page.locator("#input-text-shown")).to_contain_text("words.txt")
        page.get_by_role("button", name="Train").click()
        page.get_by_role("link", name="local/bard:").click()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#text")).to_contain_text("question")

    def test_media_can_be_played(self, studio_page: Page) -> None:
        studio_page.goto("/web/models/studio/tone")
        studio_page.get_by_role("button", name="Run", exact=True).click()
        audio = studio_page.locator("audio")
        expect(audio).to_be_visible()
        seconds = audio.evaluate(
            "audio => new Promise((done, fail) => { const look = () => audio.readyState"
            " ? done(audio.duration) : audio.error ? fail(audio.error) : setTimeout(look, 50);"
            " look(); })"
        )
        assert 0.9 < seconds < 1.1

    def test_pages_work_without_scripts(self, chromium: Browser, root: str) -> None:
        context = chromium.new_context(base_url=root, java_script_enabled=False, viewport=PHONE)
        page = context.new_page()
        page.goto("/web/?q=hello")
        page.get_by_role("link", name="dashscope/hello-world").first.click()
        page.get_by_label("Text").fill("no script")
        page.get_by_role("button", name="Run", exact=True).click()
        for _ in range(50):
            if "succeeded" in page.locator("#status").inner_text():
                break
            page.reload()
        expect(page.locator("#output")).to_contain_text("hello no script")
        expect(page.get_by_label("Python code")).to_contain_text("no script")
        context.close()


def test_screenshot_for_the_readme(studio_page: Page, tmp_path: Path) -> None:
    """`nox -s browser` sets DASHSCOPE_SCREENSHOT to update the screenshot of the README."""
    page = studio_page
    page.goto("/web/models/studio/landscape")
    page.get_by_label("Prompt").fill("Blue hills behind blue hills, a low sun")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#status")).to_contain_text("succeeded")
    expect(page.get_by_role("img", name="Output 3")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 920})
    page.locator("#logs summary").click()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    target = SCREENSHOT if os.environ.get("DASHSCOPE_SCREENSHOT") else tmp_path / "shot.png"
    page.screenshot(path=target)
    assert target.stat().st_size < 200_000
