"""The guides on the local server."""

import httpx

from dashscope import guides
from tests.local.page.conftest import Parsed
from tests.local.page.test_content import harmless


def test_the_guides_are_pages(web: httpx.Client) -> None:
    listed = harmless(web.get("/guides", follow_redirects=True))
    links = [link["href"] for link in listed.all("a")]
    between: set[str] = set()
    for topic, title in guides.titles().items():
        assert f"/web/guides/{topic}" in links
        page = web.get(f"/guides/{topic}", follow_redirects=True)
        shown = harmless(page)
        assert title in shown.text
        assert "```" not in shown.text
        between.update(link["href"].partition("#")[0] for link in shown.all("a"))
        ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
    for path in between:
        if path.startswith("/web/guides/"):
            assert web.get(path).status_code == 200, path


def test_a_guide_that_does_not_exist_is_not_found(web: httpx.Client) -> None:
    response = web.get("/guides/nope%20%22%3E", follow_redirects=True)
    assert response.status_code == 404
    assert "This guide does not exist." in Parsed(response).text
