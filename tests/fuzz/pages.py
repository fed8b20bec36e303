"""A page URL from a server is requested from the base URL, or raises a Dashscope error."""

from __future__ import annotations

import json

import httpx

from dashscope import DashscopeError
from tests.fuzz.scripted import client_of

SEEDS = (
    b"https://api.example.com/v1/predictions?cursor=abc",
    b"http://api.example.com/v1/predictions?cursor=abc&cursor=d&x=%ff",
    b"https://elsewhere.example.net/?a=1;b=2",
    b"?cursor=",
    b"cursor",
    b"http://[?cursor=1",
    b"?",
    b"/a?",
    b"",
    b"http://api.example.com/v1/predictions",
    b"://\x00?\n=\r",
    b"/v1/predictions?cursor=\xed\xa0\x80",
)


def one_input(data: bytes) -> None:
    next_page = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    requested = 0

    def response(request: httpx.Request) -> httpx.Response:
        nonlocal requested
        requested += 1
        assert requested <= 3
        assert request.method == "GET"
        assert (request.url.scheme, request.url.host) == ("https", "api.example.com")
        assert request.url.path == "/v1/predictions"
        results = [{"id": f"p{requested}", "status": "succeeded"}]
        body = json.dumps({"results": results, "next": next_page})
        return httpx.Response(200, content=body)

    client = client_of(response)
    pages = client.paginate(client.predictions.list)
    try:
        for count, page in enumerate(pages, 1):
            assert page.next == next_page
            if count == 2:
                break
    except DashscopeError:
        pass
    finally:
        pages.close()


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
