"""A client whose server is a function, without sockets and delays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from dashscope import Client

TOKEN = "r8_fuzzed_token"


def client_of(response: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    """Return a client that gets its responses from a function and never sleeps."""
    options = {"base_url": "https://api.example.com/v1", "max_retries": 1, **options}
    client = Client(
        TOKEN, http_client=httpx.Client(transport=httpx.MockTransport(response)), **options
    )
    runtime: Any = client._async._api.runtime
    runtime.sleep = _no_sleep
    return client


async def _no_sleep(seconds: float) -> None:
    assert seconds >= 0
