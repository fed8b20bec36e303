"""Proxies, TLS, HTTP/1.1 and HTTP/2 work as in httpx."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest

from dashscope import APIConnectionError, APITimeoutError, Client, ConfigurationError
from dashscope._transport.pool.proxies import EnvironmentProxies
from tests.servers.counting_server import CountingServer, LoopThread, pool_of
from tests.servers.http_proxy import Proxy
from tests.stopwatch import Stopwatch
from tests.suspending import Interruption, cancel_at_every_suspension, cancel_at_suspension
from tests.transport.conftest import Gather
from tests.variants import variants
from tests.waiting import wait_until


@pytest.fixture
def proxy(loop: LoopThread) -> Iterator[Proxy]:
    proxy = Proxy(loop)
    yield proxy
    proxy.close()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_requests_go_through_the_proxy(
    make_client: Any, server: CountingServer, proxy: Proxy, scheme: str
) -> None:
    client = make_client(base_url=server.base_url, proxy=f"{scheme}://127.0.0.1:{proxy.port}")
    for _ in range(3):
        assert (await client.account.get()).username == "1"
    assert set(proxy.destinations) == {f"127.0.0.1:{server.port}"}
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_https_is_tunneled_through_the_proxy(
    make_client: Any,
    tls_server: CountingServer,
    proxy: Proxy,
    trusting_tls: ssl.SSLContext,
    scheme: str,
) -> None:
    client = make_client(
        "token", base_url=tls_server.base_url, verify=trusting_tls,
        proxy=f"{scheme}://127.0.0.1:{proxy.port}",
    )  # fmt: skip
    for _ in range(3):
        assert (await client.account.get()).username == "1"
    assert proxy.destinations == [f"localhost:{tls_server.port}"]
    await client.aclose()


async def test_the_environment_sets_the_proxy(
    make_client: Any, server: CountingServer, proxy: Proxy, no_proxies: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
    client = make_client(base_url=server.base_url)
    await client.request("GET", f"http://api.test:{server.port}/v1/account")
    assert proxy.destinations == [f"api.test:{server.port}"]
    await client.aclose()


async def test_loopback_never_uses_a_proxy_of_the_environment(
    make_client: Any, server: CountingServer, proxy: Proxy, no_proxies: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "example.com")
    client = make_client(base_url=server.base_url)
    await client.account.get()
    await client.request("GET", f"http://localhost:{server.port}/v1/account")
    assert not proxy.destinations
    await client.aclose()


@variants(
    ("no_proxy", "host", "is_direct"),
    [
        ("api.test", "api.test", True),
        (".test,example.com", "api.test", True),
        ("other.test", "api.test", False),
        ("*", "api.test", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        (" 192.168.0.0/16 , 10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "fd00::1", True),
        ("fd00::/8", "fe00::1", False),
        ("10.0.0.0/33", "10.0.0.1", False),
        ("10.1.2.3:81", "10.1.2.3", False),
    ],
)
def test_no_proxy_accepts_hosts_and_networks(
    no_proxies: None, no_proxy: str, host: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = EnvironmentProxies().proxy_for("http", host, 80)
    assert (found is None) == is_direct
    if found is not None:
        assert found.source == "the environment variable ALL_PROXY"


async def test_a_proxy_with_a_password(
    make_client: Any, server: CountingServer, loop: LoopThread
) -> None:
    proxy = Proxy(loop, user="ann:secret")
    client = make_client(
        base_url=server.base_url, proxy=f"http://ann:secret@127.0.0.1:{proxy.port}"
    )
    await client.account.get()
    await client.aclose()
    proxy.close()


async def test_an_unreachable_proxy(
    make_client: Any, server: CountingServer, unreachable_url: str
) -> None:
    proxy = unreachable_url.removesuffix("/v1")
    client = make_client(base_url=server.base_url, proxy=proxy, max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        await client.account.get()
    assert not caught.value.request_sent
    assert f"through the proxy {proxy} (proxy)" in str(caught.value)
    assert server.paths == []
    await client.aclose()


async def test_a_socks_proxy_needs_its_extra(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.pool.routes.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install .*\[socks\]"):
        make_client(proxy="socks5://127.0.0.1:1080")


@variants(
    "address",
    ["ftp://ann:secret@127.0.0.1:1", "socks4://127.0.0.1:1", "http://", "http://[::1", "foo:bar",
     "http://127.0.0.1:99999", "http://ann:secret@127.0.0.1:0"],
)  # fmt: skip
async def test_an_invalid_proxy(
    make_client: Any, server: CountingServer, no_proxies: None, address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with pytest.raises(ConfigurationError, match="^proxy is '.*not the URL of a proxy") as caught:
        make_client(proxy=address)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("ALL_PROXY", address)
    client = make_client(base_url=server.base_url, max_retries=0)
    message = "^The environment variable ALL_PROXY is '.*unset it"
    with pytest.raises(ConfigurationError, match=message) as caught:
        await client.request("GET", "http://api.test/v1/account")
    assert "secret" not in str(caught.value)
    await client.aclose()


async def test_a_socks_proxy_of_the_environment_needs_its_extra(
    make_client: Any, server: CountingServer, no_proxies: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.pool.routes.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    client = make_client(base_url=server.base_url, max_retries=0)
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY.*pip install .*\[socks\]"):
        await client.request("GET", "http://api.test/v1/account")
    await client.aclose()


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop", "trio"])
async def test_a_cancellation_during_a_handshake_leaves_the_pool_intact(
    make_client: Any, tls_server: CountingServer, trusting_tls: ssl.SSLContext
) -> None:
    client = make_client(
        "token", base_url=tls_server.base_url, verify=trusting_tls, max_connections=1, max_retries=0
    )

    async def attempt(suspension: int) -> Interruption:
        pool = pool_of(await client._api.transport._client())
        await pool.close_idle()
        met = await cancel_at_suspension(suspension, client.account.get())
        with anyio.fail_after(5):
            await client.account.get()
        return met

    assert await cancel_at_every_suspension(attempt) > 5
    await client.aclose()
    wait_until(lambda: tls_server.open_connections == 0)


async def test_the_certificate_store_is_loaded_once_and_only_for_https(
    make_client: Any,
    server: CountingServer,
    tls_server: CountingServer,
    trusting_tls: ssl.SSLContext,
    gather: Gather,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []

    def counted(**options: object) -> ssl.SSLContext:
        made.append(options)
        return trusting_tls

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    client = make_client(base_url=server.base_url)
    await client.account.get()
    assert not made
    await gather([lambda: client.request("GET", tls_server.base_url + "/x") for _ in range(5)])
    assert len(made) == 1
    await client.aclose()


def test_no_thread_changes_a_context_while_another_one_starts_a_handshake(
    tls_server: CountingServer, trusting_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handshake may copy the protocols of the context while they are replaced."""
    wrap, set_protocols = ssl.SSLContext.wrap_socket, ssl.SSLContext.set_alpn_protocols
    starting: list[object] = []
    changes: list[int] = []

    def slow_wrap(self: ssl.SSLContext, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        starting.append(sock)
        time.sleep(0.01)
        try:
            return wrap(self, sock, **options)
        finally:
            starting.remove(sock)

    def change(self: ssl.SSLContext, protocols: list[str]) -> None:
        changes.append(len(starting))
        set_protocols(self, protocols)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", slow_wrap)
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", change)

    def call(_: int) -> None:
        with Client("token", base_url=tls_server.base_url, verify=trusting_tls) as client:
            client.account.get()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert changes == [0] * 8


async def test_an_untrusted_certificate(make_client: Any, tls_server: CountingServer) -> None:
    client = make_client("token", base_url=tls_server.base_url, max_retries=0)
    with pytest.raises(APIConnectionError, match="(?i)certificate") as caught:
        await client.account.get()
    assert not caught.value.request_sent
    assert tls_server.paths == []
    await client.aclose()


async def test_a_hanging_handshake_leaves_no_socket(
    make_client: Any, trusting_tls: ssl.SSLContext
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(5)
        client = make_client(
            "token",
            base_url=f"https://localhost:{silent.getsockname()[1]}/v1",
            verify=trusting_tls,
            max_retries=0,
            timeout=0.3,
        )
        started = Stopwatch()
        with pytest.raises(APITimeoutError):
            await client.account.get()
        assert started.adjusted < 0.8
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(5)
            while connection.recv(65536):  # until the other side has closed it
                pass
        await client.aclose()


@pytest.fixture(scope="module")
def over_http2(loop: LoopThread, authority: Any, tmp_path_factory: Any) -> Iterator[dict[str, Any]]:
    """An HTTP/2 server, and the connections that it has seen."""
    seen: dict[str, Any] = {"clients": set(), "versions": set(), "requests": 0}
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "all.pem")

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        seen["clients"].add(scope["client"])
        seen["versions"].add(scope["http_version"])
        seen["requests"] += 1
        await asyncio.sleep(0.01)
        await send({
            "type": "http.response.start", "status": 200,
            "headers": [(b"content-type", b"application/json")],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": b'{"username": "h2"}'})

    import hypercorn
    import hypercorn.asyncio

    config = hypercorn.Config()
    config.bind = ["127.0.0.1:0"]
    config.certfile = config.keyfile = str(folder / "all.pem")
    config.errorlog = config.accesslog = None
    over = asyncio.Event()
    listening = config.create_sockets().secure_sockets[0]
    seen["port"] = listening.getsockname()[1]
    config.bind = [f"fd://{listening.detach()}"]

    async def serve() -> None:
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=over.wait)

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(serve())

    async def stop(task: asyncio.Task[None]) -> None:
        over.set()
        await task

    task = loop.run(start())
    yield seen
    loop.run(stop(task))


async def test_http2_shares_a_connection_among_tasks(
    make_client: Any, over_http2: dict[str, Any], trusting_tls: ssl.SSLContext, gather: Gather,
    flavor: str,
) -> None:  # fmt: skip
    for name in ("clients", "versions"):
        over_http2[name].clear()
    base_url = f"https://localhost:{over_http2['port']}/v1"
    client = make_client("token", base_url=base_url, verify=trusting_tls, http2=True)
    await client.account.get()
    accounts = await gather([client.account.get for _ in range(20)])
    await client.account.get()
    assert {account.username for account in accounts} == {"h2"}
    assert over_http2["versions"] == {"2"}
    if flavor == "sync":  # one connection for each thread, reused
        assert len(over_http2["clients"]) <= 20
    else:
        assert len(over_http2["clients"]) == 1
    await client.aclose()


async def test_http2_falls_back_to_http_1_1(
    make_client: Any,
    tls_server: CountingServer,
    trusting_tls: ssl.SSLContext,
    gather: Gather,
) -> None:
    client = make_client("token", base_url=tls_server.base_url, verify=trusting_tls, http2=True)
    accounts = await gather([client.account.get for _ in range(5)])
    assert all(account.username for account in accounts)
    await client.aclose()


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("speaks", ["2", "1.1"])
async def test_an_idle_http2_client_keeps_no_connection(
    make_client: Any,
    over_http2: dict[str, Any],
    tls_server: CountingServer,
    trusting_tls: ssl.SSLContext,
    gather: Gather,
    monkeypatch: pytest.MonkeyPatch,
    speaks: str,
) -> None:
    monkeypatch.setattr("dashscope._transport.pool.routes.KEEPALIVE_EXPIRY", 0.3)
    monkeypatch.setattr("dashscope._transport.pool.pool.MAINTENANCE_INTERVAL", 0.1)
    port = over_http2["port"] if speaks == "2" else tls_server.port
    client = make_client(
        "token", base_url=f"https://localhost:{port}/v1", verify=trusting_tls, http2=True
    )
    for _ in range(2):  # the pool starts again
        await gather([client.account.get for _ in range(5)])
        pool = pool_of(await client._api.transport._client())
        assert pool._shared_connections()
        with anyio.fail_after(30):
            while pool._shared_connections() or tls_server.open_connections:
                await anyio.sleep(0.05)
    await client.aclose()
