"""`request()`, `with_options()`, hooks, and closing a client."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest

from dashscope import (
    APIConnectionError,
    APITimeoutError,
    Client,
    FileError,
    Headers,
    NotFoundError,
    Request,
    Response,
)
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants


class TestRequest:
    async def test_returns_the_response_unchanged(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(
            Reply(201, {"X-Request-Id": "r1", "X-Two": "a", "content-type": "text/x"}, "ü".encode())
        )
        response = await scripted_client.request("GET", "/account")
        assert type(response) is Response
        assert response.status == 201
        assert response.content == "ü".encode()
        assert response.text == "ü"
        assert response.request_id == "r1"
        assert response.headers["x-two"] == "a"
        assert type(response.headers) is Headers

    async def test_decodes_json(self, scripted_client: Any, fake_server: FakeServer) -> None:
        fake_server.respond_with(reply({"a": [1, None]}))
        assert (await scripted_client.request("get", "/x")).json() == {"a": [1, None]}
        assert fake_server.request_lines == ["GET /v1/x"]

    @variants(
        ("params", "query"),
        [
            ({"a": "b c", "d": "ä&="}, "a=b+c&d=%C3%A4%26%3D"),
            ({"yes": True, "no": False, "none": None, "n": 7}, "yes=true&no=false&n=7"),
            ([("a", "1"), ("a", "2"), ("b", None)], "a=1&a=2"),
            ({}, ""),
            (None, ""),
        ],
    )
    async def test_params_are_the_query(
        self, scripted_client: Any, fake_server: FakeServer, params: Any, query: str
    ) -> None:
        fake_server.respond_with(reply({}))
        await scripted_client.request("GET", "/x", params=params)
        await scripted_client.request("GET", "/x?z=1", params=params)
        assert fake_server.requests[0].path == "/v1/x" + (f"?{query}" if query else "")
        assert fake_server.requests[1].path == "/v1/x?z=1" + (f"&{query}" if query else "")

    @variants("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
    async def test_any_method_has_a_body(
        self, scripted_client: Any, fake_server: FakeServer, method: str
    ) -> None:
        fake_server.respond_with(reply({}))
        await scripted_client.request(method, "/x", json={"a": None})
        assert fake_server.requests[0].method == method
        assert fake_server.requests[0].json == {"a": None}
        assert fake_server.requests[0].headers["Content-Type"] == "application/json"

    @variants("json", [0, "", [], False, {}])
    async def test_an_empty_json_body_is_sent(
        self, scripted_client: Any, fake_server: FakeServer, json: Any
    ) -> None:
        fake_server.respond_with(reply({}))
        await scripted_client.request("POST", "/x", json=json)
        assert fake_server.requests[0].json == json

    @variants("content", [b"\x00bytes", "täxt", b"", ""])
    async def test_content_is_sent_unchanged(
        self, scripted_client: Any, fake_server: FakeServer, content: Any
    ) -> None:
        fake_server.respond_with(reply({}))
        await scripted_client.request(
            "POST", "/x", content=content, headers={"Content-Type": "text/x"}
        )
        expected = content.encode() if isinstance(content, str) else content
        assert fake_server.requests[0].body == expected
        assert fake_server.requests[0].headers["Content-Type"] == "text/x"

    async def test_files_are_sent_as_multipart(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        fake_server.respond_with(reply({}))
        (tmp_path / "a.png").write_bytes(b"one")
        await scripted_client.request(
            "POST", "/x", files={"a": tmp_path / "a.png", "b": io.BytesIO(b"two")}
        )
        body = fake_server.requests[0].body
        assert b'name="a"; filename="a.png"\r\nContent-Type: image/png\r\n\r\none\r\n' in body
        assert b'name="b"; filename="file"' in body
        assert (
            fake_server.requests[0]
            .headers["Content-Type"]
            .startswith("multipart/form-data; boundary=")
        )

    async def test_a_missing_file_raises_before_a_request(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        with pytest.raises(FileError, match=r"missing\.png"):
            await scripted_client.request("POST", "/x", files={"a": tmp_path / "missing.png"})
        assert fake_server.requests == []

    async def test_headers_are_sent(self, make_client: Any, fake_server: FakeServer) -> None:
        fake_server.respond_with(reply({}))
        client = make_client(
            base_url=fake_server.base_url, headers={"X-App": "shop", "X-Both": "client"}
        )
        await client.request("GET", "/x", headers={"X-Both": "call", "X-Call": "1"})
        headers = fake_server.requests[0].headers
        assert (headers["X-App"], headers["X-Both"], headers["X-Call"]) == ("shop", "call", "1")

    async def test_a_complete_url_is_requested_unchanged(
        self, with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({}))
        other_fake_server.respond_with(reply({}))
        await with_token.request("GET", fake_server.base_url.replace("/v1", "/v2/x?y=1"))
        await with_token.request("GET", other_fake_server.base_url + "/x")
        assert fake_server.request_lines == ["GET /v2/x?y=1"]
        assert fake_server.requests[0].headers["Authorization"] == "Bearer r8_token"
        assert other_fake_server.request_lines == ["GET /v1/x"]
        assert "Authorization" not in other_fake_server.requests[0].headers

    async def test_client_headers_are_sent_to_the_api_only(
        self, make_client: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        other_fake_server.respond_with(reply({}))
        secrets = {"Authorization": "Bearer r8_own", "X-Api-Key": "r8_key"}
        client = make_client(base_url=fake_server.base_url, headers=secrets, user_agent="shop/1")
        await client.request("GET", other_fake_server.base_url + "/x", headers={"X-Call": "1"})
        (received,) = other_fake_server.requests
        assert not {"authorization", "x-api-key"} & {name.lower() for name in received.headers}
        assert received.headers["X-Call"] == "1"
        assert received.headers["User-Agent"].startswith("shop/1 ")

    async def test_an_error_status_raises(self, scripted_client: Any) -> None:
        with pytest.raises(NotFoundError, match=r"^nothing scripted. GET http.*/v1/nowhere: 404"):
            await scripted_client.request("GET", "/nowhere")

    @variants(
        ("arguments", "options", "error", "message"),
        [
            (("GET", "account"), {}, ValueError, "slash"),
            (("GET", ""), {}, ValueError, "slash"),
            (("GET", "/../x"), {}, ValueError, "'..'"),
            (("GET", "/a b"), {}, ValueError, "space"),
            (("GET", "ftp://example.com/x"), {}, ValueError, "slash"),
            (("", "/x"), {}, ValueError, "method"),
            (("GE T", "/x"), {}, ValueError, "method"),
            (("GET\r\nX: y", "/x"), {}, ValueError, "method"),
            ((None, "/x"), {}, TypeError, "method"),
            (("POST", "/x"), {"json": {}, "content": b"x"}, ValueError, "one body"),
            (("POST", "/x"), {"json": 1, "files": {}}, ValueError, "one body"),
            (("POST", "/x"), {"json": object()}, TypeError, "JSON"),
            (("POST", "/x"), {"json": float("nan")}, ValueError, "JSON"),
            (("GET", "/x"), {"headers": {"X": "a\nb"}}, ValueError, "X"),
            (("GET", "/x"), {"headers": {"X": 1}}, TypeError, "X"),
            (("GET", "/x"), {"timeout": 0}, ValueError, "timeout"),
            (("GET", "/x"), {"timeout": "1"}, TypeError, "timeout"),
        ],
    )
    async def test_an_invalid_request_is_rejected_before_it_is_sent(
        self,
        scripted_client: Any,
        fake_server: FakeServer,
        arguments: Any,
        options: Any,
        error: Any,
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            await scripted_client.request(*arguments, **options)
        assert fake_server.requests == []

    async def test_timeout_limits_the_request(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(attrs.evolve(reply({}), delay=0.4))
        with pytest.raises(APITimeoutError):
            await scripted_client.request("GET", "/x", timeout=0.12)

    async def test_timeout_overrides_the_timeout_of_the_client(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(attrs.evolve(reply({}), delay=0.25))
        client = make_client(base_url=fake_server.base_url, timeout=0.12)
        assert (await client.request("GET", "/x", timeout=5)).status == 200


class TestOptions:
    async def test_a_view_has_other_options_and_does_not_change_the_client(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        client = make_client(base_url=fake_server.base_url, headers={"X-A": "1", "X-B": "2"})
        await client.with_options(headers={"X-B": "3", "X-C": "4"}).account.get()
        await client.account.get()
        changed, plain = (received.headers for received in fake_server.requests)
        assert (changed["X-A"], changed["X-B"], changed["X-C"]) == ("1", "3", "4")
        assert (plain["X-A"], plain["X-B"]) == ("1", "2")
        assert "X-C" not in plain

    async def test_views_of_views_combine_their_options(
        self, scripted_client: Any, fake_server: FakeServer, no_jitter: None
    ) -> None:
        fake_server.respond_with(reply({}, 503))
        view = scripted_client.with_options(headers={"X-A": "1"}).with_options(max_retries=1)
        with pytest.raises(Exception, match="2 attempts"):
            await view.account.get()
        assert [received.headers["X-A"] for received in fake_server.requests] == ["1", "1"]

    async def test_timeout_none_removes_the_timeout_of_the_client(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(attrs.evolve(reply({"username": "a"}), delay=0.25))
        client = make_client(base_url=fake_server.base_url, timeout=0.12, max_retries=0)
        with pytest.raises(APITimeoutError):
            await client.account.get()
        assert (await client.with_options(timeout=None).account.get()).username == "a"
        assert (await client.with_options(timeout=5).account.get()).username == "a"

    async def test_a_view_keeps_the_token(self, with_token: Any, fake_server: FakeServer) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        await with_token.with_options(timeout=5).account.get()
        assert fake_server.requests[0].headers["Authorization"] == "Bearer r8_token"

    async def test_closing_a_view_or_its_client_closes_both(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        view = scripted_client.with_options(timeout=5)
        await scripted_client.account.get()
        await view.aclose()
        for client in (scripted_client, view):
            with pytest.raises(RuntimeError, match="closed"):
                await client.account.get()

    @variants(
        ("options", "error"),
        [
            ({"timeout": 0}, ValueError),
            ({"timeout": "1"}, TypeError),
            ({"max_retries": -1}, ValueError),
            ({"max_retries": None}, TypeError),
            ({"headers": {"X": 1}}, TypeError),
            ({"headers": {"X Y": "1"}}, ValueError),
        ],
    )
    def test_out_of_range_options_are_rejected(
        self, scripted_client: Any, options: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            scripted_client.with_options(**options)


class TestClosing:
    async def test_the_block_closes_the_client(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        async with make_client(base_url=fake_server.base_url) as client:
            await client.account.get()
        with pytest.raises(RuntimeError, match="this client is closed"):
            await client.account.get()

    async def test_a_client_may_be_closed_twice_or_unused(self, make_client: Any) -> None:
        client = make_client()
        await client.aclose()
        await client.aclose()


async def test_cookies_are_not_stored(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply({"username": "a"}, set_cookie="session=1; Path=/"))
    for _ in range(2):
        await scripted_client.account.get()
    assert all("Cookie" not in request.headers for request in fake_server.requests)


async def test_a_missing_local_server_fails_fast(
    make_client: Any, unreachable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._config.DEFAULT_BASE_URL", unreachable_url)
    started = Stopwatch()
    with pytest.raises(APIConnectionError, match="dashscope serve") as caught:
        await make_client().account.get()
    assert started.adjusted < 1.5
    assert caught.value.attempts == 2


class TestHooks:
    async def test_hooks_receive_each_request_and_response(
        self, make_client: Any, fake_server: FakeServer, no_jitter: None
    ) -> None:
        seen: list[Any] = []
        fake_server.respond_with([reply({}, 503), reply({"username": "a"})])
        hooks = {"request": [seen.append], "response": [seen.append]}
        client = make_client("r8_token", base_url=fake_server.base_url, event_hooks=hooks)
        await client.account.get()
        first, refused, second, response = seen
        assert type(first) is type(second) is Request
        assert first == second
        assert (first.method, first.url) == ("GET", fake_server.base_url + "/account")
        assert (refused.status, response.status) == (503, 200)
        assert response.json() == {"username": "a"}
        # Hooks do not see the token.
        assert "r8_token" not in str([attrs.asdict(item) for item in (first, second)])

    async def test_hooks_receive_downloads_and_streams_before_the_body_is_read(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        seen: list[Any] = []

        def script(received: Received) -> Reply:
            if received.path.endswith("/stream"):
                return Reply(
                    200, {"content-type": "text/event-stream"}, b"event: done\ndata: {}\n\n"
                )
            if received.path.endswith("/file"):
                return Reply(200, {}, b"content")
            return reply(
                prediction(
                    "succeeded",
                    output=fake_server.base_url + "/file",
                    urls={"stream": fake_server.base_url + "/stream"},
                ),
                201,
            )

        fake_server.respond_with(script)
        hooks = {"response": [seen.append]}
        client = make_client(base_url=fake_server.base_url, event_hooks=hooks)
        output = await client.run("owner/name", {})
        assert await output.read() == b"content"
        async with client.stream("owner/name", {}) as stream:
            assert str(await anext(stream)) == ""
        assert [(response.status, response.content == b"") for response in seen] == [
            (201, False),
            (200, True),
            (201, False),
            (200, True),
        ]

    async def test_an_exception_in_a_hook_closes_the_download(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        def fail(response: Response) -> None:
            if response.headers.get("x-kind") == "file":
                raise ZeroDivisionError

        def script(received: Received) -> Reply:
            if received.path.endswith("/file"):
                return Reply(200, {"x-kind": "file"}, b"content")
            return reply(prediction("succeeded", output=fake_server.base_url + "/file"), 201)

        fake_server.respond_with(script)
        client = make_client(
            base_url=fake_server.base_url, event_hooks={"response": [fail]}, max_connections=1
        )
        for _ in range(2):
            output = await client.run("owner/name", {}, timeout=20)
            with pytest.raises(ZeroDivisionError):
                await output.read()

    async def test_a_request_hook_may_change_the_request(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))

        def trace(request: Request) -> Request:
            return attrs.evolve(request, headers={**request.headers, "X-Trace": "t1"})

        def shout(request: Request) -> Request:
            return attrs.evolve(
                request, headers={**request.headers, "X-Trace": request.headers["X-Trace"].upper()}
            )

        client = make_client(base_url=fake_server.base_url, event_hooks={"request": [trace, shout]})
        await client.account.get()
        assert fake_server.requests[0].headers["X-Trace"] == "T1"

    async def test_a_hook_cannot_send_the_token_elsewhere(
        self, make_client: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        other_fake_server.respond_with(reply({"username": "a"}))

        def redirect(request: Request) -> Request:
            return attrs.evolve(request, url=other_fake_server.base_url + "/account")

        client = make_client(
            "r8_token", base_url=fake_server.base_url, event_hooks={"request": [redirect]}
        )
        await client.account.get()
        assert "Authorization" not in other_fake_server.requests[0].headers
        assert fake_server.requests == []

    async def test_a_hook_that_changes_the_origin_drops_the_secrets(
        self, make_client: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        other_fake_server.respond_with(reply({"username": "a"}))

        def move(request: Request) -> Request:
            url = request.url.replace(fake_server.base_url, other_fake_server.base_url)
            headers = {name.lower(): value for name, value in request.headers.items()}
            return attrs.evolve(request, url=url, headers={**headers, "X-Set": "by the hook"})

        client = make_client(
            "r8_token",
            base_url=fake_server.base_url,
            headers={"X-Secret": "classified", "Cookie": "classified"},
            event_hooks={"request": [move]},
        )
        await client.account.get()
        own = {"Authorization": "Bearer classified", "X-Key": "classified"}
        await client.request("GET", "/x", headers=own)
        await client.request("POST", "/x", json={})
        async with client.files.download("f", owner="o", expiry=1, signature="s") as download:
            await download.read()
        for received in other_fake_server.requests:
            sent = {name.lower(): value for name, value in received.headers.items()}
            assert "classified" not in str(sent)
            assert "authorization" not in sent
            assert sent["x-set"] == "by the hook"
            assert sent["user-agent"].startswith("dashscope")
        assert other_fake_server.requests[2].headers["content-type"] == "application/json"
        assert fake_server.requests == []

    @pytest.mark.parametrize("returned", [False, 0, "request", {}])
    async def test_a_request_hook_returns_a_request_or_nothing(
        self, make_client: Any, fake_server: FakeServer, returned: Any
    ) -> None:
        hooks = {"request": [lambda _: returned]}
        with pytest.raises(TypeError, match="request hook must return"):
            await make_client(base_url=fake_server.base_url, event_hooks=hooks).account.get()
        assert fake_server.requests == []

    @variants("when", ["request", "response"])
    async def test_exceptions_of_hooks_propagate(
        self, make_client: Any, fake_server: FakeServer, when: str
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))

        def fail(_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await make_client(
                base_url=fake_server.base_url, event_hooks={when: [fail]}
            ).account.get()

    async def test_async_clients_accept_coroutine_hooks(
        self, make_client: Any, fake_server: FakeServer, flavor: str
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        seen: list[Any] = []

        async def hook(item: Any) -> None:
            seen.append(type(item))

        hooks = {"request": [hook], "response": [hook]}
        if flavor == "sync":
            with pytest.raises(TypeError, match=r"event_hooks.*plain function"):
                make_client(base_url=fake_server.base_url, event_hooks=hooks)
            return
        await make_client(base_url=fake_server.base_url, event_hooks=hooks).account.get()
        assert seen == [Request, Response]

    def test_the_sync_client_rejects_a_hook_that_returns_an_awaitable(
        self, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"username": "a"}))

        async def hook(_: object) -> None:
            pass

        client = Client(base_url=fake_server.base_url, event_hooks={"request": [lambda r: hook(r)]})
        with client, pytest.raises(TypeError, match="plain functions"):
            client.account.get()
        assert fake_server.requests == []

    def test_a_sync_client_is_shared_by_threads(self, fake_server: FakeServer) -> None:
        fake_server.respond_with(reply({"username": "a"}))
        names: list[str] = []
        with Client(base_url=fake_server.base_url) as client:
            threads = [
                threading.Thread(target=lambda: names.append(client.account.get().username))
                for _ in range(16)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert names == ["a"] * 16


@variants("port", [0, 65536, 70000, 99999])
@variants("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_an_invalid_port_is_rejected(
    scripted_client: Any, fake_server: FakeServer, host: str, port: int
) -> None:
    with pytest.raises(ValueError, match=f"there is no port {port}"):
        await scripted_client.request("GET", f"http://{host}:{port}/x")
    assert not fake_server.requests


@variants("host", ["a" * 64 + ".invalid", "a..invalid", ".invalid"])
async def test_an_invalid_host_is_rejected(make_client: Any, host: str) -> None:
    client = make_client("token", base_url=f"https://{host}/v1", max_retries=0)
    with pytest.raises(APIConnectionError, match="No connection") as caught:
        await client.account.get()
    assert not caught.value.request_sent
    await client.aclose()
