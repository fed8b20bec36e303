"""Proxies that violate their protocol: the request is not sent and no socket stays open."""

from __future__ import annotations

from typing import Any

import pytest

from dashscope import APIConnectionError, APITimeoutError
from tests.servers.broken_proxy import HTTP, SOCKS, Talk, proxy, send_nothing
from tests.variants import variants

CASES = [
    *(pytest.param("socks5", talk, id=f"socks {name}") for name, talk in SOCKS.items()),
    *(pytest.param("http", talk, id=f"http {name}") for name, talk in HTTP.items()),
]


@variants("http2", [False, True])
@variants(("scheme", "talk"), CASES)
async def test_an_invalid_proxy_reply_is_a_connection_error(
    make_client: Any, scheme: str, talk: Talk, http2: bool
) -> None:
    with proxy(talk) as (port, closed):
        client = make_client(
            "token", base_url="https://api.example.com/v1", max_retries=0, http2=http2,
            proxy=f"{scheme}://127.0.0.1:{port}",
        )  # fmt: skip
        with pytest.raises(APIConnectionError, match="No connection") as caught:
            await client.predictions.create(version="v", input={})
        assert closed.wait(5)
        assert not isinstance(caught.value, APITimeoutError)
        assert not caught.value.request_sent
        assert not caught.value.may_have_been_created
        await client.aclose()


@pytest.mark.parametrize("http2", [False, True])
async def test_a_silent_socks_proxy_times_out(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, http2: bool
) -> None:
    """The connect timeout applies even without a timeout of the caller."""
    monkeypatch.setattr("dashscope._transport.mapping.CONNECT_TIMEOUT", 0.3)
    with proxy(send_nothing) as (port, closed):
        client = make_client(
            "token", base_url="https://api.example.com/v1", max_retries=0, http2=http2,
            proxy=f"socks5://127.0.0.1:{port}", timeout=None,
        )  # fmt: skip
        with pytest.raises(APITimeoutError, match="No connection") as caught:
            await client.predictions.create(version="v", input={})
        assert closed.wait(5)
        assert not caught.value.may_have_been_created
        await client.aclose()
