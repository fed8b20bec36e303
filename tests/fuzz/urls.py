"""A URL is sent like httpx sends it, and to the host that the checks have seen."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from dashscope._common import urls
from dashscope._transport.mapping import SendState, build
from dashscope.types.http import Request
from tests.fuzz.redirects import SEEDS as REDIRECTS
from tests.fuzz.redirects import is_internal

BASE = "https://api.example.com/v1"
TRUSTED = ("files.example.net", "*.trusted.example")
SEEDS = (
    *(seed[1:] for seed in REDIRECTS),
    b"https://api.example.com:443/v1/a/../b",
    b"https://api.example.com/v1/a%2Fb?c=d#e",
    b"https://api.example.com/v1/.hidden",
    b"https://api.example.com/%zz",
    b"https://a.trusted.example/",
    b"https://a..trusted.example:1/",
    b"https://-/",
    b"https://api.example.com:65536/",
    b"https://api.example.com:00443/v1",
)


def one_input(data: bytes) -> None:
    url = data.decode("utf-8", "replace")
    if urls.url_rejection(url, BASE) is not None:
        return
    gets_token = urls.gets_token(url, BASE, TRUSTED)
    request = Request(method="GET", url=url)
    try:
        sent = build(request, None, None, None, {}, SendState()).url
        expected = httpx.URL(url)
    except (urls.InvalidURLError, httpx.InvalidURL, UnicodeError):
        return
    assert sent.raw_path == expected.raw_path
    host = sent.raw_host.decode("ascii")
    assert (sent.raw_scheme, sent.raw_host) == (b"https", expected.raw_host)
    assert (sent.port or 443) == (expected.port or 443)
    assert not is_internal(host.rstrip("."))
    assert not expected.userinfo
    at_home = (host, sent.port or 443) == ("api.example.com", 443)
    trusted = host == TRUSTED[0] or host.endswith(TRUSTED[1][1:])
    assert gets_token == (at_home or trusted)
    assert urlsplit(url).hostname
