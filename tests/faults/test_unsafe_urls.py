"""URLs from a server at a public address: which are requested, and with which headers.

The host names are public and use https. A fake resolver maps them to this machine, where the
requests are recorded.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashscope import APIError, APIResponseError, StreamError
from dashscope._common import urls as _urls
from dashscope._files.file_output import wrap_file_outputs
from tests.flavors import _plain
from tests.servers.certificates import server_context
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.servers.fault_proxy import Proxy
from tests.variants import variants

if TYPE_CHECKING:
    import trustme

API, FILES, EVIL = "api.service.test", "files.service.test", "evil.test"
TOKEN = "r8_a-Secret"


@pytest.fixture(params=["asyncio", "sync", pytest.param("trio", marks=pytest.mark.soak)])
def flavor(request: pytest.FixtureRequest) -> str:
    """All flavors except uvloop, which has its own resolver."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        here = "127.0.0.1" if name.endswith(".test") else name
        return real(here, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


class Internet:
    """Servers with three host names over https and http, which record their requests."""

    def __init__(self, proxy: Proxy, server: FakeServer, authority: trustme.CA) -> None:
        context = server_context(authority, API, FILES, EVIL)
        self.secure, self.plain = proxy.line(tls=context), proxy.line()
        self.server = server
        for line in (self.secure, self.plain):
            line.listen()

    def url(self, host: str, path: str, *, scheme: str = "https") -> str:
        line = self.secure if scheme == "https" else self.plain
        return f"{scheme}://{host}:{urlsplit(line.origin).port}{path}"

    def requests(self) -> list[tuple[str, str, str | None]]:
        """Return the host, path and token of each request."""
        return [
            (received.headers["Host"].partition(":")[0], received.path, authorization(received))
            for received in self.server.requests
        ]


def authorization(received: Received) -> str | None:
    return received.headers.get("Authorization")


@pytest.fixture
def internet(proxy: Proxy, server: FakeServer, authority: trustme.CA) -> Internet:
    server.requests.clear()
    server.respond_with(Reply(200, {}, b"x"))
    return Internet(proxy, server, authority)


@pytest.fixture
def client(make_client: Any, internet: Internet, trusting_tls: ssl.SSLContext) -> Iterator[Any]:
    return make_client(
        TOKEN,
        base_url=internet.url(API, "/v1"),
        verify=trusting_tls,
        trusted_hosts=["files.service.test"],
        max_retries=0,
    )


def output_of(client: Any, url: str) -> Any:
    api = (client._value._async if hasattr(client, "_value") else client)._api
    return _plain(wrap_file_outputs(url, api))


BEARER = f"Bearer {TOKEN}"


async def test_only_files_of_trusted_origins_receive_the_token(
    client: Any, internet: Internet
) -> None:
    for host in (API, FILES, EVIL):
        assert await output_of(client, internet.url(host, "/a")).read() == b"x"
    assert internet.requests() == [(API, "/a", BEARER), (FILES, "/a", BEARER), (EVIL, "/a", None)]
    await client.aclose()


async def test_a_chain_of_redirects_does_not_leak_the_token(
    client: Any, internet: Internet
) -> None:
    def script(received: Received) -> Reply:
        following = {
            "/1": internet.url(FILES, "/2"),
            "/2": internet.url(EVIL, "/3"),
            "/3": internet.url(API, "/4"),
        }.get(received.path)
        return Reply(200, {}, b"x") if following is None else Reply(307, {"location": following})

    internet.server.respond_with(script)
    assert await output_of(client, internet.url(API, "/1")).read() == b"x"
    assert internet.requests() == [
        (API, "/1", BEARER),
        (FILES, "/2", BEARER),
        (EVIL, "/3", None),
        (API, "/4", BEARER),
    ]
    await client.aclose()


BAD = [
    ("http after https", lambda net: net.url(API, "/a", scheme="http")),
    ("another scheme", lambda net: "ftp://files.service.test/a"),
    ("a file", lambda net: "file:///etc/passwd"),
    ("a script", lambda net: "javascript:alert(1)"),
    ("credentials", lambda net: net.url(f"user:word@{FILES}", "/a")),
    ("a control character", lambda net: net.url(FILES, "/a\x01b")),
    ("a line break", lambda net: net.url(FILES, "/a\r\nX-Evil: 1")),
    ("a space", lambda net: net.url(FILES, "/a b")),
    ("loopback", lambda net: net.url("127.0.0.1", "/a")),
    ("loopback by name", lambda net: net.url("localhost", "/a")),
    ("loopback in disguise", lambda net: net.url("0x7f.1", "/a")),
    ("loopback of six", lambda net: net.url("[::1]", "/a")),
    ("the cloud's metadata", lambda net: net.url("169.254.169.254", "/a")),
    ("a private network", lambda net: net.url("10.0.0.1", "/a")),
    ("a port that is none", lambda net: "https://files.service.test:99999/a"),
    ("no host", lambda net: "https:///a"),
    ("nothing", lambda net: ""),
]
ALL_BAD = variants("bad", [make for _, make in BAD], ids=[name for name, _ in BAD])


@ALL_BAD
async def test_unsafe_urls_are_never_requested(client: Any, internet: Internet, bad: Any) -> None:
    internet.server.requests.clear()
    url = bad(internet)
    # As an output that looks like a URL. Without a host, the output stays text.
    if url == "https:///a":
        assert type(output_of(client, url)) is str
    elif url.startswith("http") and " " not in url and "\n" not in url:
        with pytest.raises(APIResponseError, match="is not allowed"):
            await output_of(client, url).read()
        assert internet.requests() == []
    # As the target of a redirect. (A line break would end the header.)
    if "\n" not in url and url:
        internet.server.respond_with(Reply(302, {"location": url}))
        with pytest.raises(APIError):
            await output_of(client, internet.url(API, "/1")).read()
        # A target without a host is relative to the server: here a redirect loop.
        assert {who for who, _, _ in internet.requests()} == {API}
        internet.server.requests.clear()
    # As a stream.
    internet.server.respond_with(reply(prediction("processing", urls={"stream": url}), 201))
    with pytest.raises((APIResponseError, StreamError)):
        async with client.stream("owner/name", {}, cancel_on_exit=False) as stream:
            async for _ in stream:
                pass
    assert {who for who, _, _ in internet.requests()} == {API}
    assert "/a" not in {path for _, path, _ in internet.requests()}


@ALL_BAD
async def test_pages_are_requested_from_the_base_url(
    client: Any, internet: Internet, bad: Any
) -> None:
    internet.server.requests.clear()

    def script(received: Received) -> Reply:
        following = f"{bad(internet)}?cursor=c2" if "cursor" not in received.path else None
        return reply({"results": [{"id": "p1", "status": "starting"}], "next": following})

    internet.server.respond_with(script)
    try:
        found = [page async for page in client.paginate(client.predictions.list)]
    except APIResponseError as error:
        assert "invalid URL of a page" in str(error)  # noqa: PT017
    else:
        assert len(found) == 2
    assert {(who, path.partition("?")[0], token) for who, path, token in internet.requests()} == {
        (API, "/v1/predictions", BEARER)
    }


async def test_redirects_of_the_api_are_not_followed(client: Any, internet: Internet) -> None:
    for status in (301, 302, 303, 307, 308):
        internet.server.respond_with(
            Reply(status, {"location": internet.url(EVIL, "/v1/predictions")})
        )
        with pytest.raises(APIError, match="not followed"):
            await client.predictions.create(version="v", input={})
    assert {who for who, _, _ in internet.requests()} == {API}
    await client.aclose()


hosts = st.sampled_from(
    [API, "evil.test", "127.0.0.1", "[::1]", "ａpi.service.test", "xn--e1afmkfd.test", "a\\b.test"]
)
authorities = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(
        ["", "user@", "user:word@", "@", f"{API}@", f"{API}\\@", f"{API}#@", f"{API}?@"]
    ),
    hosts | st.text("aA.-_%0\\[]:@/?#\u3002\uff0f\u2100 ", max_size=8),
    st.sampled_from(["", ":443", ":", ":0", ":99999", ":4 4", ":٤"]),
)
urls = st.builds(
    lambda scheme, authority, path: f"{scheme}{authority}{path}",
    st.sampled_from(
        ["https://", "HTTPS://", "http://", "https:/", "https:\\\\", "//", "https:///"]
    ),
    authorities,
    st.sampled_from(["", "/", "/a", "\\a", "?a", "#a", "/\\evil.test/"]) | st.text(max_size=5),
)


@given(url=urls)
@example(f"https://{API}\\@evil.test/")
@example("https://evil.test\\.service.test/")
def test_the_checked_host_is_the_requested_host(url: str) -> None:
    base = f"https://{API}/v1"
    if _urls.url_rejection(url, base) is not None:
        return
    try:
        requested = httpx.URL(url)
    except httpx.InvalidURL:
        return
    judged = urlsplit(url)
    # The checks and httpx parse the same host from the URL.
    assert requested.scheme == judged.scheme
    assert requested.port == (None if judged.port == 443 else judged.port)
    if _urls.gets_token(url, base, ["*.service.test"]):
        host = requested.raw_host.decode()
        assert host == API or host.endswith(".service.test")
        assert requested.scheme == "https"
    assert not requested.userinfo
