"""The pages in Chromium, as someone sees and uses them: live, by keyboard, on a phone, and safe.

Marked `browser`: it needs Debian's `chromium`, or the one that DASHSCOPE_CHROMIUM names.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashscope.local import LocalServer
from tests.local.page import studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
Run = Callable[..., dict[str, Any]]

SCREENSHOT = Path(__file__).with_name("screenshot.png")
DESKTOP = {"width": 1100, "height": 760}
PHONE = {"width": 375, "height": 700}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("DASHSCOPE_CHROMIUM") or shutil.which("chromium")
    assert path, "Install Debian's chromium, or name another in DASHSCOPE_CHROMIUM."
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--lang=en-US"]
        )
        yield browser
        browser.close()


class Seen:
    """What a page complained of."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda said: self.problems.append(said.text) if said.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                self.problems.append(request.url)
                if not request.url.startswith(("http://127.0.0.1:", "data:"))
                else None
            ),
        )


@pytest.fixture
def page(chromium: Browser, root: str) -> Iterator[Page]:
    """A page at the desktop's size; at the end it has complained of nothing."""
    context = chromium.new_context(base_url=root, viewport=DESKTOP, locale="en-US")
    context.set_default_timeout(20_000)
    opened = context.new_page()
    seen = Seen(opened)
    yield opened
    context.close()
    assert seen.problems == []


@pytest.fixture
def studio_page(chromium: Browser) -> Iterator[Page]:
    """A page of a server with models worth looking at."""
    with LocalServer(models=studio.MODELS) as server:
        context = chromium.new_context(
            base_url=server.base_url.removesuffix("/v1"), viewport=DESKTOP, locale="en-US"
        )
        yield context.new_page()
        context.close()


class TestRunning:
    def test_a_model_from_its_form_and_watching_it_stream(self, page: Page) -> None:
        page.goto("/")
        page.get_by_role("link", name="dashscope/countdown").click()
        page.get_by_label("Start").fill("30")
        page.get_by_label("Delay").fill("0.1")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("dashscope/countdown")
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

    def test_what_streams_fast_is_whole(self, page: Page) -> None:
        page.goto("/web/models/dashscope/markov")
        page.get_by_label("Length").fill("5000")
        page.get_by_label("Seed").fill("1")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#status")).to_contain_text("succeeded")
        expect(page.locator("#text")).to_have_attribute("aria-busy", "false")
        shown = page.locator("#text").text_content() or ""
        whole = page.evaluate("fetch(location.href + '/json').then(answer => answer.json())")
        assert shown == "".join(whole["output"])

    def test_appended_text_is_what_came_and_nothing_twice(self, page: Page, create: Run) -> None:
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

    def test_an_image_is_seen(self, page: Page, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (200, 100), "teal").save(tmp_path / "photo.png")
        page.goto("/web/models/dashscope/thumbnail")
        page.get_by_label("Image: a file to upload").set_input_files(tmp_path / "photo.png")
        page.get_by_label("Width").fill("50")
        page.get_by_role("button", name="Run", exact=True).click()
        image = page.get_by_role("img", name="Output: thumbnail.png")
        expect(image).to_be_visible()
        assert image.evaluate("async image => (await image.decode(), image.naturalWidth)") == 50

    def test_one_is_cancelled(self, page: Page, create: Run) -> None:
        page.goto(create("test/sleep")["urls"]["web"])
        expect(page.locator("#log")).to_contain_text("sleeping")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#status")).to_contain_text("canceled")

    def test_one_is_run_again(self, page: Page, run: Run) -> None:
        page.goto(run("dashscope/hello-world", text="again")["urls"]["web"])
        before = page.url
        page.get_by_role("button", name="Run again").click()
        page.wait_for_url(lambda url: url != before)
        expect(page.locator("#output")).to_contain_text("hello again")

    def test_one_with_another_input(self, page: Page, run: Run) -> None:
        page.goto(run("dashscope/hello-world", text="Alice")["urls"]["web"])
        page.get_by_role("link", name="Change the input").click()
        expect(page.get_by_label("Text")).to_have_value("Alice")
        page.get_by_label("Text").fill("Bob")
        page.get_by_label("Text").press("Control+Enter")
        expect(page.locator("#output")).to_contain_text("hello Bob")

    def test_lists_follow_what_happens(self, page: Page, create: Run, http: Any) -> None:
        page.goto("/web/predictions")
        prediction = create("test/sleep")
        entry = page.locator(f"#row-{prediction['id']}")
        expect(entry).to_contain_text("running")
        entry.get_by_role("link").focus()
        http.post(prediction["urls"]["cancel"])
        expect(entry).to_contain_text("canceled")
        # What is exchanged under the reader's hands keeps its place.
        expect(entry.get_by_role("link")).to_be_focused()

    def test_a_form_being_filled_in_is_left_alone(self, page: Page, run: Run) -> None:
        page.goto("/web/models/dashscope/hello-world")
        page.get_by_label("Text").fill("half a sente")
        run("dashscope/hello-world", text="of someone else")
        expect(page.locator("#recent")).to_contain_text("hello of someone else")
        expect(page.get_by_label("Text")).to_have_value("half a sente")

    def test_trainings_show_what_they_made(self, page: Page, tmp_path: Path) -> None:
        (tmp_path / "words.txt").write_text("to be or not to be that is the question " * 3)
        page.goto("/web/models/dashscope/markov/train")
        page.get_by_label("Text: a file to upload").set_input_files(tmp_path / "words.txt")
        page.get_by_label("Destination").fill("local/bard")
        page.get_by_role("button", name="Train").click()
        page.get_by_role("link", name="local/bard:").click()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#text")).to_contain_text("question")

    def test_media_play(self, studio_page: Page) -> None:
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

    def test_without_a_script(self, chromium: Browser, root: str) -> None:
        context = chromium.new_context(base_url=root, java_script_enabled=False, viewport=PHONE)
        page = context.new_page()
        page.goto("/")
        page.get_by_role("link", name="dashscope/hello-world").first.click()
        page.get_by_label("Text").fill("no script")
        page.get_by_role("button", name="Run", exact=True).click()
        for _ in range(50):
            if "succeeded" in page.locator("#status").inner_text():
                break
            page.reload()
        expect(page.locator("#output")).to_contain_text("hello no script")
        context.close()


class TestSafety:
    @pytest.mark.parametrize(
        "text",
        ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
         "</div><script src=/v1/files/x></script>", "javascript:alert(1)"],
    )  # fmt: skip
    def test_what_a_model_says_is_text(self, page: Page, create: Run, run: Run, text: str) -> None:
        page.goto(run("test/echo", value=text)["urls"]["web"])
        expect(page.locator("#output")).to_contain_text(text)
        assert page.get_by_role("link", name=text).count() == 0
        # The same on the way that only the script goes.
        prediction = create("dashscope/markov", prompt=f"a {text}", length=30, delay=0.05)
        page.goto(prediction["urls"]["web"])
        expect(page.locator("#status")).to_contain_text("succeeded")
        page.goto(run("test/fails", message=text)["urls"]["web"])
        expect(page.locator("#error")).to_contain_text(text)
        page.goto("/web/predictions")

    def test_a_script_put_into_a_page_does_not_run(self, chromium: Browser, root: str) -> None:
        context = chromium.new_context(base_url=root)
        page = context.new_page()
        page.goto("/web/")
        page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const image = "<img src=x onerror='window.ran = true'>";
            document.body.insertAdjacentHTML("beforeend", image);
        }""")
        page.wait_for_timeout(300)
        assert page.evaluate("window.ran") is None
        context.close()

    def test_another_site_cannot_run_a_model(self, chromium: Browser, root: str, http: Any) -> None:
        """A page of another origin (another port is one) sends a form and a fetch."""
        with LocalServer() as elsewhere:
            context = chromium.new_context()
            page = context.new_page()
            page.goto(elsewhere.base_url.replace("/v1", "/health"))
            before = http.get("/predictions").json()["results"][0]["id"]
            status = page.evaluate(
                """async url => {
                    const body = new URLSearchParams({"input:text": "x"});
                    try { return (await fetch(url, {method: "POST", body, mode: "no-cors"})).type }
                    catch (error) { return String(error) } }""",
                f"{root}/web/models/dashscope/hello-world",
            )
            assert status in {"opaque", "TypeError: Failed to fetch"}
            with page.expect_response(lambda answer: "/web/models" in answer.url) as answered:
                page.evaluate(
                    """url => { const form = document.createElement("form");
                        form.action = url; form.method = "post";
                        form.innerHTML = "<input name='input:text' value='x'>";
                        document.body.append(form); form.submit(); }""",
                    f"{root}/web/models/dashscope/hello-world",
                )
            assert answered.value.status == 403
            assert http.get("/predictions").json()["results"][0]["id"] == before
            context.close()

    def test_the_token_is_entered_once(self, chromium: Browser) -> None:
        with LocalServer(token="open sesame") as server:
            context = chromium.new_context(base_url=server.base_url.removesuffix("/v1"))
            page = context.new_page()
            seen = Seen(page)
            page.goto("/web/models/dashscope/hello-world")
            page.get_by_label("Token").fill("open sesame")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_label("Text").fill("Ali")
            page.get_by_role("button", name="Run", exact=True).click()
            expect(page.locator("#output")).to_contain_text("hello Ali")
            assert page.evaluate("document.cookie") == ""
            outside = chromium.new_context(base_url=page.url, bypass_csp=True).new_page()
            outside.goto("/web/sign-in")
            assert Axe().run(outside).violations_count == 0
            outside.context.close()
            page.get_by_role("button", name="Sign out").click()
            page.goto("/web/predictions")
            expect(page.get_by_label("Token")).to_be_visible()
            assert seen.problems == []
            context.close()


class TestEveryone:
    @pytest.fixture
    def paths(self, run: Run, create: Run, http: Any) -> list[str]:
        told = {"input": {"text": "x"}, "webhook": "http://127.0.0.1:9/hook"}
        hooked = http.post("/models/dashscope/hello-world/predictions", json=told).json()
        predictions = [
            run("test/image", width=40), run("test/fails"), run("test/files", text="x"),
            run("test/echo", value={"a": 1}), run("test/parts"),
            create("dashscope/countdown", start=600), hooked,
        ]  # fmt: skip
        return [
            "/web/", "/web/predictions", "/web/trainings", "/web/webhooks",
            "/web/models/test/typed", "/web/models/test/read", "/web/nope",
            "/web/models/dashscope/markov/train",
            *(f"/web/predictions/{prediction['id']}" for prediction in predictions),
        ]  # fmt: skip

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_finds_no_barrier(
        self, chromium: Browser, root: str, paths: list[str], scheme: Any
    ) -> None:
        context = chromium.new_context(base_url=root, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        for path in paths:
            page.goto(path)
            page.get_by_role("main").wait_for()
            if "models" in path and "train" not in path:
                # With what is wrong said beside the fields, too.
                page.evaluate("document.querySelector('form[data-keys]').noValidate = true")
                page.get_by_role("button", name="Run", exact=True).click()
                page.locator("#problems").wait_for()
            found = Axe().run(page)
            assert found.violations_count == 0, (path, found.generate_report())
        context.close()

    def test_needs_no_mouse(self, page: Page) -> None:
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

    def test_is_led_to_what_is_wrong(self, chromium: Browser, root: str) -> None:
        context = chromium.new_context(base_url=root)
        page = context.new_page()
        page.goto("/web/models/test/typed")
        page.get_by_label("Tags").fill("a, b")
        page.get_by_label("Text").fill("x")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#problems")).to_be_focused()
        page.get_by_role("link", name="tags").click()
        expect(page.get_by_label("Tags")).to_be_focused()
        expect(page.get_by_label("Tags")).to_have_value("a, b")
        expect(page.get_by_label("Tags")).to_have_accessible_description(
            re.compile("a list like.*This is not JSON")
        )
        context.close()

    def test_on_a_phone_scrolls_down_only(
        self, chromium: Browser, root: str, paths: list[str], run: Run
    ) -> None:
        context = chromium.new_context(
            base_url=root, viewport=PHONE, has_touch=True, is_mobile=True
        )
        page = context.new_page()
        long = run("test/echo", value={"x" * 200: ["y" * 2000, "http://a.example/" + "z" * 900]})
        for path in [*paths, f"/web/predictions/{long['id']}"]:
            page.goto(path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], path
            small = page.evaluate(
                "[...document.querySelectorAll('button, .button, nav a, .row')]"
                ".filter(it => it.offsetHeight && it.offsetHeight < 32).map(it => it.outerHTML)"
            )
            assert small == [], path
        context.close()

    def test_with_long_lists_and_outputs_does_not_wait(self, page: Page, create: Run) -> None:
        prediction = create("test/floods", megabytes=30)
        page.goto(prediction["urls"]["web"])
        # The longest that the page did not answer, while it floods.
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


def test_the_screenshot_in_the_readme(studio_page: Page, tmp_path: Path) -> None:
    """Takes it anew where DASHSCOPE_SCREENSHOT is set; what it shows has to work in any case."""
    page = studio_page
    page.goto("/web/models/studio/landscape")
    page.get_by_label("Prompt").fill("Blue hills behind blue hills, a low sun")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#status")).to_contain_text("succeeded")
    expect(page.get_by_role("img", name="Output 3")).to_be_visible()
    page.wait_for_function("[...document.images].every(image => image.complete)")
    target = SCREENSHOT if os.environ.get("DASHSCOPE_SCREENSHOT") else tmp_path / "shot.png"
    page.screenshot(path=target)
    assert target.stat().st_size < 200_000
