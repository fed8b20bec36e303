"""Responses of unlimited size: the client reads them within its limits or rejects them."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from dashscope import APIConnectionError, APIError, APIResponseError, APITimeoutError
from tests.files.test_files import SIGNED
from tests.servers.fake_server import FakeServer, Reply, prediction, reply
from tests.servers.fault_proxy import Exchange, Line, Proxy
from tests.servers.faults import Fault
from tests.stopwatch import Stopwatch

LIMIT = 1_000_000
MEMORY = 12_000_000
"""The memory that reading a response of up to LIMIT may use, in bytes."""


GZIP, ZLIB, RAW = 31, 15, -15


@cache
def bomb(wbits: int, megabytes: int = 30) -> bytes:
    """Return compressed zeros."""
    compressor = zlib.compressobj(9, wbits=wbits)
    zeros = bytes(1_000_000)
    return b"".join([*(compressor.compress(zeros) for _ in range(megabytes)), compressor.flush()])


def peak() -> int:
    return tracemalloc.get_traced_memory()[1]


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """The peak memory since the start."""
    tracemalloc.start()
    yield peak
    tracemalloc.stop()


@pytest.fixture
def bounded(make_client: Any, fake_server: FakeServer) -> Any:
    return make_client(base_url=fake_server.base_url, max_response_bytes=LIMIT, max_retries=0)


async def test_a_decompression_bomb_is_rejected(
    bounded: Any, fake_server: FakeServer, memory: Callable[[], int]
) -> None:
    for coding, body in [
        ("gzip", bomb(GZIP)),
        ("X-GZIP", bomb(GZIP)),
        ("deflate", bomb(ZLIB)),
        ("deflate", bomb(RAW)),
        ("gzip", bomb(GZIP, 1) * 30),
    ]:
        fake_server.respond_with(Reply(200, {"content-encoding": coding}, body))
        before = peak()
        with pytest.raises(APIResponseError, match="max_response_bytes"):
            await bounded.account.get()
        assert memory() - before < MEMORY, coding


async def test_an_unrequested_encoding_is_not_decompressed(
    bounded: Any, fake_server: FakeServer, memory: Callable[[], int]
) -> None:
    body = gzip.compress(bomb(GZIP))
    for coding in ["gzip, gzip", "gzip,gzip,gzip", "br", "zstd", "compress", "gzip, br", "rot13"]:
        fake_server.respond_with(Reply(200, {"content-encoding": coding}, body))
        before = peak()
        with pytest.raises(APIResponseError, match=f"'{coding}'"):
            await bounded.account.get()
        assert memory() - before < MEMORY, coding
    assert fake_server.requests[0].headers["Accept-Encoding"] == "gzip, deflate"


async def test_a_bomb_in_an_error_response_is_rejected(
    bounded: Any, fake_server: FakeServer, memory: Callable[[], int]
) -> None:
    fake_server.respond_with(Reply(500, {"content-encoding": "gzip"}, bomb(GZIP)))
    before = peak()
    with pytest.raises(APIResponseError, match="max_response_bytes"):
        await bounded.account.get()
    with pytest.raises(APIResponseError, match="max_response_bytes") as caught:
        await bounded.predictions.create(version="v", input={})
    assert caught.value.may_have_been_created
    assert memory() - before < MEMORY


async def test_a_bomb_in_a_download_is_rejected(
    bounded: Any, fake_server: FakeServer, memory: Callable[[], int]
) -> None:
    fake_server.respond_with(Reply(200, {"content-encoding": "gzip"}, bomb(GZIP)))
    before = peak()
    async with bounded.files.download("f1", **SIGNED) as download:
        with pytest.raises(APIResponseError, match="max_response_bytes"):
            await download.read()
    # A response that is read in chunks may have any size.
    size = 0
    async with bounded.files.download("f1", **SIGNED) as download:
        async for piece in download.iter_bytes():
            size += len(piece)
    assert size == 30_000_000
    assert memory() - before < MEMORY


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_truncated_compressed_response_is_an_error(
    bounded: Any, fake_server: FakeServer, coding: str
) -> None:
    body = b'{"username": "' + b"x" * 500_000 + b'"}'
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    fake_server.respond_with(Reply(200, {"content-encoding": coding}, packed))
    assert len((await bounded.account.get()).username) == 500_000
    for part in (packed[:-1], packed[: len(packed) // 2], packed[:5]):
        fake_server.respond_with(Reply(200, {"content-encoding": coding}, part))
        with pytest.raises(APIResponseError, match="cannot be decompressed"):
            await bounded.account.get()
    fake_server.respond_with(Reply(200, {"content-encoding": coding}, b"nothing of the kind"))
    with pytest.raises(APIResponseError, match="cannot be decompressed"):
        await bounded.account.get()


async def test_a_compressed_response_may_be_empty_or_have_several_members(
    bounded: Any, fake_server: FakeServer
) -> None:
    body = gzip.compress(b'{"user') + gzip.compress(b'name": "a"}')
    fake_server.respond_with(Reply(200, {"content-encoding": "gzip"}, body))
    assert (await bounded.account.get()).username == "a"
    fake_server.respond_with(Reply(204, {"content-encoding": "gzip"}))
    await bounded.files.delete("f1")


@pytest.fixture
def line(proxy: Proxy, server: FakeServer) -> Line:
    server.respond_with(reply({"username": "a"}))
    line = proxy.line()
    line.listen()
    return line


def endless(start: bytes, piece: bytes) -> Fault:
    async def act(exchange: Exchange) -> None:
        await exchange.send(start)
        while True:
            await exchange.send(piece)

    return Fault("endless", act)


OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "body": (OK + b"\r\n", bytes(65536)),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + bytes(4096) + b"\r\n"),
    "chunk extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
    "headers": (OK, b"X: y\r\n" * 1000),
    "header": (OK + b"X: ", b"x" * 65536),
    "status line": (b"HTTP/1.1 200 ", b"O" * 65536),
}


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_response_is_closed(
    make_client: Any, line: Line, memory: Callable[[], int], start: bytes, piece: bytes
) -> None:
    client = make_client(
        base_url=line.base_url, max_response_bytes=LIMIT, max_retries=1, timeout=20
    )
    line.inject([endless(start, piece)] * 2)
    before = peak()
    started = Stopwatch()
    with pytest.raises(APIError) as caught:
        await client.account.get()
    assert type(caught.value) in (APIResponseError, APIConnectionError)
    assert started.adjusted < 10
    assert memory() - before < MEMORY
    await client.aclose()


async def test_informational_responses_are_bounded_by_the_timeout(
    make_client: Any, line: Line
) -> None:
    client = make_client(base_url=line.base_url, timeout=0.2)
    line.inject([endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10)] * 9)
    started = Stopwatch()
    with pytest.raises(APITimeoutError):
        await client.account.get()
    assert started.adjusted < 3
    await client.aclose()


async def test_a_long_detail_is_truncated_in_the_message(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"detail": "no " * 100_000}, 422))
    with pytest.raises(APIError) as caught:
        await scripted_client.account.get()
    assert len(str(caught.value)) < 2000
    assert caught.value.detail == "no " * 100_000


async def test_a_long_prediction_error_is_truncated_in_the_message(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("failed", error="no " * 100_000), 201))
    with pytest.raises(Exception, match="failed") as caught:
        await scripted_client.run("owner/name", {})
    assert len(str(caught.value)) < 2000
