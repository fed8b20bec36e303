"""Attacks on the pages: hostile model output, requests of other sites, and the token."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashscope.local import LocalServer
from tests.local.page.browser.conftest import Problems, Run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


class TestSafety:
    @pytest.mark.parametrize(
        "text",
        ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
         "</div><script src=/v1/files/x></script>", "javascript:alert(1)"],
    )  # fmt: skip
    def test_model_output_is_shown_as_text(
        self, page: Page, create: Run, run: Run, text: str
    ) -> None:
        page.goto(run("test/echo", value=text)["urls"]["web"])
        expect(page.locator("#output")).to_contain_text(text)
        assert page.get_by_role("link", name=text).count() == 0
        # The same for content that scripts insert.
        prediction = create("dashscope/markov", prompt=f"a {text}", length=30, delay=0.05)
        page.goto(prediction["urls"]["web"])
        expect(page.locator("#status")).to_contain_text("succeeded")
        # The same for rows that are added to a list.
        page.goto("/web/predictions")
        run("test/fails", message=text)
        expect(page.locator("#rows")).to_contain_text(text)
        page.goto(run("test/fails", message=text)["urls"]["web"])
        expect(page.locator("#error")).to_contain_text(text)
        page.goto("/web/predictions")

    def test_an_injected_script_does_not_run(self, chromium: Browser, root: str) -> None:
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
        """A page of another origin (here another port) sends a form and a fetch request."""
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
            with page.expect_response(lambda response: "/web/models" in response.url) as answered:
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
            seen = Problems(page)
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
