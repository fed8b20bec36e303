"""Pages in Chromium. A test fails if its page reports an error.

The tests need Debian's `chromium`, or the executable that DASHSCOPE_CHROMIUM names.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashscope.local import LocalServer
from tests.local.page import studio

Run = Callable[..., dict[str, Any]]

expect.set_options(timeout=20_000)

DESKTOP = {"width": 1100, "height": 760}
PHONE = {"width": 375, "height": 700}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("DASHSCOPE_CHROMIUM") or shutil.which("chromium")
    assert path, "Install Debian's chromium, or name another in DASHSCOPE_CHROMIUM."
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--lang=en-US"]
        )
        yield browser
        browser.close()


class Problems:
    """The errors, dialogs and external requests of a page."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda message: self.problems.append(message.text) if message.type == "error" else None,
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
    """A page of desktop size. The test fails if the page has reported a problem."""
    context = chromium.new_context(base_url=root, viewport=DESKTOP, locale="en-US")
    context.set_default_timeout(20_000)
    opened = context.new_page()
    seen = Problems(opened)
    yield opened
    context.close()
    assert seen.problems == []


@pytest.fixture
def studio_page(chromium: Browser) -> Iterator[Page]:
    """A page of a server with the models of `studio.py`."""
    with LocalServer(models=studio.MODELS) as server:
        context = chromium.new_context(
            base_url=server.base_url.removesuffix("/v1"), viewport=DESKTOP, locale="en-US"
        )
        yield context.new_page()
        context.close()
