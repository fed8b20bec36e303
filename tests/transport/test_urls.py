"""URLs are sent as httpx sends them."""

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
def test_urls_are_sent_like_httpx_does(scheme: str, host: str, port: str, rest: str) -> None:
    text = f"{scheme}://{host}{port}/{rest}"
    request = Request(method="GET", url=text)
    try:
        theirs = httpx.URL(text)
    except httpx.InvalidURL:
        with pytest.raises(ValueError, match="is not a valid URL"):
            mapping.build(request, None, None, None, {}, mapping.SendState())
        return
    built = mapping.build(request, None, None, None, {}, mapping.SendState())
    assert built.url == theirs
    assert built.headers["Host"] == theirs.netloc.decode()
