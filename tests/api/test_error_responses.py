"""Errors from responses and connections: their classes, attributes and messages."""

from __future__ import annotations

import asyncio
import copy
import gzip
import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from dashscope import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    Client,
    ConflictError,
    DashscopeError,
    InternalServerError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from dashscope._config import DEFAULT_BASE_URL
from dashscope._runtime.drive import drive
from tests.servers.fake_server import DROP, FakeServer, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants

STATUSES = [
    (400, BadRequestError, "Bad Request"),
    (401, AuthenticationError, "DASHSCOPE_API_TOKEN"),
    (402, PaymentRequiredError, "Payment Required"),
    (403, PermissionDeniedError, "does not have permission"),
    (404, NotFoundError, "Check the name or id"),
    (405, APIStatusError, "Method Not Allowed"),
    (409, ConflictError, "Conflict"),
    (413, APIStatusError, "413"),
    (418, APIStatusError, "418"),
    (422, UnprocessableEntityError, "422"),
    (429, RateLimitError, "Lower the concurrency"),
    (500, InternalServerError, "Internal Server Error"),
    (501, InternalServerError, "Not Implemented"),
    (502, InternalServerError, "Bad Gateway"),
    (503, InternalServerError, "Service Unavailable"),
    (504, InternalServerError, "Gateway Timeout"),
    (520, InternalServerError, "unknown status"),
    (301, APIStatusError, "Check the base URL"),
    (307, APIStatusError, "Check the base URL"),
]


def connected(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all errors in its chain."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


@variants(("status", "cls", "text"), STATUSES, ids=lambda x: str(x))
async def test_each_status_has_an_error_class_with_the_detail_of_the_server(
    make_client: Any, fake_server: FakeServer, status: int, cls: type[APIStatusError], text: str
) -> None:
    body = {"title": "A title", "detail": "Something is wrong.", "status": status, "more": [1]}
    fake_server.respond_with(reply(body, status, x_request_id="r1", x_other="y"))
    client = make_client("r8_token", base_url=fake_server.base_url, max_retries=0)
    with pytest.raises(APIStatusError) as caught:
        await client.models.get("acme", "hello-world")
    error = caught.value
    assert type(error) is cls
    assert error.status == status
    assert error.title == "A title"
    assert error.detail == "Something is wrong."
    assert error.request_id == "r1"
    assert error.headers["X-OTHER"] == "y"
    assert '"more": [1]' in error.body
    assert error.attempts == 1
    assert error.elapsed >= 0
    assert error.retry_after is None
    assert not error.may_have_been_created
    message = str(error)
    requested = f"GET {fake_server.base_url}/models/acme/hello-world: {status}"
    assert message.startswith(f"Something is wrong. {requested} ")
    assert message.endswith(" (request r1)")
    assert text in message


@variants(
    ("body", "title", "detail", "shown"),
    [
        (b'{"detail": "no"}', None, "no", "no"),
        (b'{"title": "Teapot"}', "Teapot", None, "Teapot"),
        (b'{"title": "Teapot", "detail": ""}', "Teapot", "", "Teapot"),
        (b'{"detail": [{"loc": ["body"]}]}', None, '{"loc":["body"]}.', "loc"),
        (
            b'{"detail": [{"loc": ["body", "input", 0], "msg": "Field required"}, "And no."]}',
            None,
            "body.input.0: Field required. And no.",
            "body.input.0: Field required. And no.",
        ),
        (b'{"detail": {"message": "no credit", "code": 5}}', None, "no credit.", "no credit"),
        (
            b'{"detail": {"text": ["Is too long."], "n": "bad"}}',
            None,
            "text: Is too long. n: bad.",
            "n: bad",
        ),
        (b'{"detail": []}', None, None, "detail"),
        (b'{"detail": [{"a": "\\ud800"}]}', None, "(not shown).", "not shown"),
        (b"<html>Bad gateway</html>", None, None, "<html>Bad gateway"),
        (b"[1]", None, None, "[1]"),
        (b"\xff\xfe", None, None, "\ufffd"),
        (b"", None, None, "without an explanation"),
        (b" \n", None, None, "without an explanation"),
        (b"x" * 10_000, None, None, "x" * 200),
    ],
)
async def test_any_body_of_an_error_response_is_an_api_error(
    scripted_client: Any,
    fake_server: FakeServer,
    body: bytes,
    title: str | None,
    detail: str | None,
    shown: str,
) -> None:
    fake_server.respond_with(Reply(400, {}, body))
    with pytest.raises(BadRequestError) as caught:
        await scripted_client.account.get()
    assert (caught.value.title, caught.value.detail) == (title, detail)
    assert caught.value.request_id is None
    assert shown in str(caught.value)
    assert len(str(caught.value)) < 500


async def test_an_error_does_not_reference_httpx_objects(
    make_client: Any, fake_server: FakeServer, no_jitter: None
) -> None:
    client = make_client("r8_token", base_url=fake_server.base_url, max_retries=1, timeout=5)
    for response in (reply({}, 404), reply({}, 503), DROP, Reply(200, {}, b"<html>"), Reply(204)):
        fake_server.respond_with(response)
        with pytest.raises(DashscopeError) as caught:
            await client.account.get()
        for error in connected(caught.value):
            assert not type(error).__module__.startswith(("httpx", "httpcore", "h11", "anyio"))
            for value in vars(error).values():
                assert not type(value).__module__.startswith(("httpx", "httpcore"))
        for other in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
            assert type(other) is type(caught.value)
            assert str(other) == str(caught.value)
            assert vars(other).keys() == vars(caught.value).keys()


async def test_errors_do_not_contain_the_token(
    make_client: Any, fake_server: FakeServer, caplog: pytest.LogCaptureFixture, no_jitter: None
) -> None:
    caplog.set_level("DEBUG")
    client = make_client("r8_token", base_url=fake_server.base_url, max_retries=1)
    echo = {"detail": "no such token: r8_token", "title": "r8_token"}
    for response in (reply(echo, 401), reply(echo, 503), DROP):
        fake_server.respond_with(response)
        with pytest.raises(APIError) as caught:
            await client.account.get()
        error = caught.value
        assert "r8_token" not in f"{error} {error!r} {vars(error)}"
        assert b"r8_token" not in pickle.dumps(error)
    assert fake_server.requests[0].headers["Authorization"] == "Bearer r8_token"
    assert "attempt 2" in caplog.text
    assert "r8_token" not in caplog.text


async def test_the_log_contains_the_url_but_no_body_or_token(
    scripted_client: Any, fake_server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="dashscope")
    fake_server.respond_with(reply(prediction("succeeded", output="classified output"), 201))
    await scripted_client.predictions.create(version="v1", input={"prompt": "classified input"})
    await scripted_client.request("GET", "/x", params={"signature": "classified query"})
    text = [r.getMessage() for r in caplog.records if r.name == "dashscope"]
    assert any("POST" in line and "/predictions: 201" in line for line in text)
    assert "classified" not in " ".join(text)


class TestNoServer:
    async def test_a_refused_connection_is_an_api_connection_error(
        self, make_client: Any, unreachable_url: str, no_jitter: None
    ) -> None:
        client = make_client(base_url=unreachable_url, max_retries=2)
        with pytest.raises(
            APIConnectionError, match=f"No conn.*: GET {unreachable_url}/account"
        ) as caught:
            await client.account.get()
        assert not caught.value.request_sent
        assert caught.value.refused
        assert caught.value.attempts == 2
        assert "after 2 attempts" in str(caught.value)
        assert "dashscope serve" not in str(caught.value)
        assert not isinstance(caught.value, TimeoutError)

    async def test_a_refused_create_was_not_executed(
        self, make_client: Any, unreachable_url: str, no_jitter: None
    ) -> None:
        client = make_client(base_url=unreachable_url, max_retries=2)
        with pytest.raises(APIConnectionError) as caught:
            await client.run("owner/name", {})
        # The connection was never established: the create is retried, and nothing was created.
        assert caught.value.attempts == 2
        assert not caught.value.may_have_been_created

    async def test_a_loopback_server_that_never_responded_fails_fast(
        self, make_client: Any, unreachable_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.2)
        client = make_client(base_url=unreachable_url, max_retries=10)

        async def stream() -> None:
            async with client.predictions.stream("p1"):
                pass

        async def download() -> None:
            async with client.files.download("f", owner="o", expiry=1, signature="s"):
                pass

        async def batch() -> None:
            async with client.map("owner/name", [{}], on_error="raise") as results:
                async for _ in results:
                    pass

        for call in (
            client.account.get,
            lambda: client.run("owner/name", {}, timeout=30),
            lambda: client.wait("p1"),
            stream,
            download,
            batch,
        ):
            started = Stopwatch()
            with pytest.raises(APIConnectionError) as caught:
                await call()
            assert caught.value.attempts <= 2
            assert started.adjusted < 1

    async def test_a_loopback_server_that_responded_before_is_retried(
        self, make_client: Any, no_jitter: None
    ) -> None:
        server = FakeServer()
        server.respond_with(reply({}, 500))
        first = make_client(base_url=server.base_url, max_retries=0)
        with pytest.raises(InternalServerError):
            await first.account.get()
        server.close()
        # Every client of this process knows that the server exists.
        client = make_client(base_url=server.base_url, max_retries=3)
        with pytest.raises(APIConnectionError) as caught:
            await client.account.get()
        assert caught.value.attempts == 4

    async def test_at_the_default_address_the_error_explains_how_to_start_a_server(
        self,
        make_client: Any,
        unreachable_url: str,
        monkeypatch: pytest.MonkeyPatch,
        no_jitter: None,
    ) -> None:
        monkeypatch.setattr("dashscope._config.DEFAULT_BASE_URL", unreachable_url)
        client = make_client(max_retries=0)
        with pytest.raises(APIConnectionError, match=r"dashscope serve.*DASHSCOPE_BASE_URL"):
            await client.run("dashscope/hello-world", {"text": "Alice"})

    async def test_no_token_is_sent_to_the_default_address(
        self, make_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert DEFAULT_BASE_URL == "http://127.0.0.1:3274/v1"
        monkeypatch.setattr("dashscope._config.DEFAULT_BASE_URL", fake_server.base_url)
        monkeypatch.setenv("DASHSCOPE_API_TOKEN", "r8_token")
        fake_server.respond_with(reply({"username": "a"}))
        for client in (make_client(), make_client("r8_token")):
            await client.account.get()
        monkeypatch.setenv("DASHSCOPE_BASE_URL", fake_server.base_url)
        await make_client().account.get()
        sent = [received.headers.get("Authorization") for received in fake_server.requests]
        assert sent == [None, None, "Bearer r8_token"]

    async def test_an_unresolvable_host_is_an_api_connection_error(self, make_client: Any) -> None:
        client = make_client("t", base_url="https://api.nowhere.invalid/v1", max_retries=0)
        with pytest.raises(APIConnectionError, match="No connection") as caught:
            await client.account.get()
        assert not caught.value.request_sent


class TestBrokenConnections:
    @variants(
        "response",
        [
            DROP,
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
            Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
            Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
            Reply(raw=b"HTTP/1.1 200"),
        ],
        ids=["closed", "truncated", "chunk", "not HTTP", "status line"],
    )
    async def test_an_incomplete_response_is_a_connection_error(
        self, make_client: Any, fake_server: FakeServer, response: Reply
    ) -> None:
        fake_server.respond_with(response)
        client = make_client(base_url=fake_server.base_url, max_retries=0)
        with pytest.raises(APIConnectionError, match=r"The connection broke .*/account") as got:
            await client.account.get()
        assert got.value.request_sent
        assert not got.value.may_have_been_created
        # A create whose response was lost may have been executed.
        with pytest.raises(APIConnectionError, match="may have been created") as got:
            await client.predictions.create(version="v", input={})
        assert got.value.may_have_been_created

    async def test_a_missing_response_is_a_timeout(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(attrs.evolve(reply({"username": "a"}), delay=0.4))
        client = make_client(base_url=fake_server.base_url, timeout=0.15)
        with pytest.raises(APITimeoutError, match="No response in time") as caught:
            await client.account.get()
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.request_sent
        with pytest.raises(APITimeoutError, match="may have been created") as caught:
            await client.predictions.create(version="v", input={})
        assert caught.value.may_have_been_created


@pytest.mark.parametrize("make", [AsyncClient, Client])
def test_a_server_error_on_create_may_have_executed(
    make: Any, fake_server: FakeServer, no_jitter: None
) -> None:
    client = make(base_url=fake_server.base_url)
    run = asyncio.run if make is AsyncClient else drive
    for status, unsure in [(500, True), (503, True), (408, True), (422, False), (429, False)]:
        fake_server.respond_with(reply({"detail": "no", "retry_after": 0}, status))
        for call in (
            lambda c: c.predictions.create(version="v", input={}),
            lambda c: c.models.create("a", "b", visibility="public", hardware="cpu"),
            lambda c: c.trainings.create("a", "b", "c", destination="a/b", input={}),
            lambda c: c.request("POST", "/x"),
        ):

            async def body(call: Any = call) -> None:
                made = call(client)
                if make is AsyncClient:
                    await made

            with pytest.raises(APIStatusError) as caught:
                run(body())
            assert caught.value.may_have_been_created is unsure
    if make is Client:
        client.close()


class TestUnexpectedResponses:
    @variants(
        ("response", "text"),
        [
            (
                Reply(200, {"content-type": "text/html"}, b"<html>Log in</html>"),
                r"text/html.*Log in",
            ),
            (Reply(200, {}, b'{"username": "al'), "instead of JSON"),
            (Reply(200, {}, b""), "empty body with status 200"),
            (Reply(204), "empty body with status 204"),
            (reply([]), "expected an object"),
            (reply({}), "username"),
            (reply({"username": None}), "username"),
            (reply({"username": 5}), "username"),
            (Reply(200, {}, b"\xff"), "instead of JSON"),
            (Reply(200, {}, b"null"), "expected an object"),
        ],
    )
    async def test_an_error_quotes_the_unexpected_response(
        self, scripted_client: Any, fake_server: FakeServer, response: Reply, text: str
    ) -> None:
        fake_server.respond_with(response)
        with pytest.raises(APIResponseError, match=text):
            await scripted_client.account.get()
        # An undecodable response is not retried: the next response would be the same.
        assert len(fake_server.requests) == 1

    async def test_compressed_responses_are_decompressed(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(
            Reply(200, {"content-encoding": "gzip"}, gzip.compress(b'{"username": "a"}'))
        )
        assert (await scripted_client.account.get()).username == "a"

    async def test_responses_in_any_chunks_and_with_zero_padding_are_decompressed(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        body = b'{"username": "a"}'
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        raw = packer.compress(body) + packer.flush()
        two = gzip.compress(body[:5]) + bytes(100) + gzip.compress(body[5:])
        for coding, packed in (
            ("deflate", raw),
            ("deflate", zlib.compress(body)),
            ("deflate", zlib.compress(body) + bytes(7)),
            ("gzip", gzip.compress(body)),
            ("gzip", gzip.compress(body) + bytes(1000)),
            ("gzip", two),
        ):
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n"
            )
            for size in (1, 2, 3, 10_000):
                pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
                fake_server.respond_with(Reply(raw=head.encode() + b"\r\n" + chunks + b"0\r\n\r\n"))
                assert (await scripted_client.account.get()).username == "a"
            # A truncated body is not a valid response.
            for end in (1, len(packed.rstrip(b"\0")) - 1):
                fake_server.respond_with(Reply(200, {"content-encoding": coding}, packed[:end]))
                with pytest.raises(APIResponseError, match="cannot be decompressed"):
                    await scripted_client.account.get()

    async def test_a_response_up_to_the_limit_is_read(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        body = b'{"username": "a"}'
        fake_server.respond_with(Reply(200, {}, body))
        client = make_client(base_url=fake_server.base_url, max_response_bytes=len(body))
        assert (await client.account.get()).username == "a"
        client = make_client(base_url=fake_server.base_url, max_response_bytes=len(body) - 1)
        with pytest.raises(APIResponseError, match=r"max_response_bytes"):
            await client.account.get()

    async def test_a_response_that_decompresses_beyond_the_limit_is_rejected(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(
            Reply(200, {"content-encoding": "gzip"}, gzip.compress(bytes(10**6)))
        )
        client = make_client(base_url=fake_server.base_url, max_response_bytes=100_000)
        with pytest.raises(APIResponseError, match=r"100000 bytes \(max_response_bytes\)"):
            await client.account.get()


async def test_an_input_that_looks_like_a_file_name_gets_a_hint(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    refused = {"detail": "input.image: a file is given as an http, https or data URL."}
    fake_server.respond_with(reply(refused, 422, x_request_id="r1"))
    hint = "image was the text 'photo.png'. To send a local file, pass a pathlib.Path."
    with pytest.raises(UnprocessableEntityError) as caught:
        await scripted_client.run("a/b", {"prompt": "x.txt", "image": "photo.png"})
    assert str(caught.value).endswith(f"422 Unprocessable Entity. {hint} (request r1)")
    for image in ("https://example.com/photo.png", "a photo.png", "photo", 3):
        with pytest.raises(UnprocessableEntityError) as caught:
            await scripted_client.run("a/b", {"prompt": "x.txt", "image": image})
        assert "pathlib" not in str(caught.value)


class TestIdsFromTheServer:
    @variants("id", ["", ".", "..", "p\ud800"])
    async def test_an_id_that_does_not_fit_in_a_url_is_rejected(
        self, scripted_client: Any, fake_server: FakeServer, id: str
    ) -> None:
        fake_server.respond_with(reply({"id": id, "status": "starting"}, 201))
        with pytest.raises(APIResponseError, match="its id") as caught:
            await scripted_client.run("a/b", {})
        assert caught.value.may_have_been_created
        assert len(fake_server.requests) == 1

    async def test_an_error_contains_the_requested_url(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(Reply(200, {"content-type": "text/html"}, b"<html>Welcome</html>"))
        with pytest.raises(APIResponseError) as caught:
            await scripted_client.predictions.list(cursor="secret")
        assert str(caught.value) == (
            "The server sent text/html instead of JSON. Check the base URL. "
            "The body starts with '<html>Welcome</html>'. "
            f"The request was GET {fake_server.base_url}/predictions."
        )
        fake_server.respond_with(Reply(204))
        with pytest.raises(APIResponseError, match=f"was GET {fake_server.base_url}/account.$"):
            await scripted_client.account.get()
