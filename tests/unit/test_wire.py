"""URLs are sent as httpx would send them, mostly without it."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope._transport import mapping
from dashscope.types.http import Request

CHARACTERS = st.sampled_from([*"azAZ09-._~!$&'()*+,;=:@/?#%[]|\"<>`{}^\\", "%2F", "%zz", "é", " "])


@given(
    scheme=st.sampled_from(["http", "https", "HTTP"]),
    host=st.sampled_from(
        ["127.0.0.1", "example.com", "Example.com", "[::1]", "bücher.example", "a_b"]
    ),
    port=st.sampled_from(["", ":80", ":443", ":8080", ":"]),
    rest=st.lists(CHARACTERS, max_size=12).map("".join),
)
def test_a_url_goes_out_as_httpx_would_send_it(
    scheme: str, host: str, port: str, rest: str
) -> None:
    text = f"{scheme}://{host}{port}/{rest}"
    try:
        theirs = httpx.URL(text)
    except httpx.InvalidURL:
        with pytest.raises(ValueError, match="cannot be asked"):
            mapping._url_of(Request(method="GET", url=text))
        return
    url, named = mapping._url_of(Request(method="GET", url=text))
    assert (url.scheme, url.host, url.port) == (theirs.raw_scheme, theirs.raw_host, theirs.port)
    assert url.target == theirs.raw_path
    assert named == theirs.netloc.decode()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:3274/v1/predictions",
        "https://api.example.com/v1/models/me/mine/versions/abc/predictions?cursor=cD0yMDI0&x=1",
        "https://example.com:443/",
    ],
)
def test_an_ordinary_url_needs_no_httpx(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(httpx, "URL", refuse)
    mapping._url_of(Request(method="GET", url=url))
