"""Fetch pages with plain HTTP, and parse them with the standard library."""

import importlib.util
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from dashscope.local import LocalServer

# `nox -s browser` installs playwright. The other tests need no browser.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]


class Parsed(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def by_id(self, id: str) -> dict[str, str]:
        (found,) = [attributes for _, attributes in self.elements if attributes.get("id") == id]
        return found


@pytest.fixture(scope="session")
def root(server: LocalServer) -> str:
    return server.base_url.removesuffix("/v1")


@pytest.fixture(scope="module")
def web(root: str) -> Iterator[httpx.Client]:
    """A browser without scripts: a client that sends the `Origin` header."""
    with httpx.Client(base_url=root, headers={"Origin": root}, timeout=30) as client:
        yield client
