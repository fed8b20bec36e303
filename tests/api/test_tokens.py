"""The token is sent to the API's own origin and to trusted hosts only, also after redirects."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dashscope import (
    APIError,
    APIResponseError,
    AuthenticationError,
    PermissionDeniedError,
)
from dashscope._files.file_output import wrap_file_outputs
from tests.flavors import _plain
from tests.flavors import make_client as make_client_of
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.variants import variants

REMOTE = "https://api.example.com/v1"


def redirect(location: str, status: int = 302) -> Reply:
    return Reply(status, {"location": location})


async def output_of(client: Any, fake_server: FakeServer, url: str) -> Any:
    """Return a file output with this URL."""
    before = list(fake_server.requests)
    fake_server.respond_with(reply(prediction("succeeded", output=url), 201))
    output = await client.run("owner/name", {})
    fake_server.requests[:] = before
    return output


def tokens(fake_server: FakeServer) -> list[str | None]:
    return [received.headers.get("Authorization") for received in fake_server.requests]


async def test_downloads_from_the_origin_of_the_api_send_the_token(
    with_token: Any, fake_server: FakeServer
) -> None:
    output = await output_of(
        with_token, fake_server, fake_server.base_url.replace("/v1", "/out/a.png")
    )
    fake_server.respond_with(Reply(200, {}, b"x"))
    assert await output.read() == b"x"
    assert tokens(fake_server) == ["Bearer r8_token"]


async def test_downloads_from_other_origins_send_no_token(
    with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
) -> None:
    output = await output_of(with_token, fake_server, other_fake_server.base_url + "/a.png")
    other_fake_server.respond_with(Reply(200, {}, b"x"))
    assert await output.read() == b"x"
    assert tokens(other_fake_server) == [None]
    assert fake_server.requests == []


async def test_client_headers_are_sent_to_the_api_only(
    make_client: Any, fake_server: FakeServer, other_fake_server: FakeServer
) -> None:
    client = make_client(
        "r8_token", base_url=fake_server.base_url, headers={"X-Secret": "classified"}
    )
    own = await output_of(client, fake_server, fake_server.base_url.replace("/v1", "/out/a.png"))
    other = await output_of(client, fake_server, other_fake_server.base_url + "/a.png")
    for server, output in ((fake_server, own), (other_fake_server, other)):
        server.respond_with(Reply(200, {}, b"x"))
        assert await output.read() == b"x"
    assert [request.headers.get("X-Secret") for request in fake_server.requests] == ["classified"]
    assert [request.headers.get("X-Secret") for request in other_fake_server.requests] == [None]


async def test_no_token_is_sent_to_a_trusted_host_over_http(
    make_client: Any, fake_server: FakeServer, other_fake_server: FakeServer
) -> None:
    client = make_client("r8_token", base_url=fake_server.base_url, trusted_hosts=["127.0.0.1"])
    output = await output_of(client, fake_server, other_fake_server.base_url + "/a.png")
    other_fake_server.respond_with(Reply(200, {}, b"x"))
    await output.read()
    assert tokens(other_fake_server) == [None]


@variants(("status", "cls"), [(401, AuthenticationError), (403, PermissionDeniedError)])
async def test_a_401_without_a_token_suggests_trusted_hosts(
    with_token: Any,
    fake_server: FakeServer,
    other_fake_server: FakeServer,
    status: int,
    cls: type[APIError],
) -> None:
    output = await output_of(with_token, fake_server, other_fake_server.base_url + "/a.png")
    other_fake_server.respond_with(reply({"detail": "who are you?"}, status))
    with pytest.raises(cls, match=r"who are you.*127\.0\.0\.1, .*trusted_hosts") as caught:
        await output.read()
    assert "Check the token" not in str(caught.value)
    assert "The token's account" not in str(caught.value)
    # The same applies after a redirect.
    output = await output_of(with_token, fake_server, fake_server.base_url + "/b.png")
    fake_server.respond_with(redirect(other_fake_server.base_url + "/secret.png"))
    with pytest.raises(cls, match=r"who are you.*/secret\.png: .*trusted_hosts"):
        await output.read()


async def test_a_401_with_a_token_does_not_suggest_trusted_hosts(
    with_token: Any, fake_server: FakeServer
) -> None:
    output = await output_of(with_token, fake_server, fake_server.base_url + "/a.png")
    fake_server.respond_with(reply({"detail": "no"}, 403))
    with pytest.raises(PermissionDeniedError) as caught:
        await output.read()
    assert "trusted_hosts" not in str(caught.value)


async def test_a_401_of_the_api_does_not_suggest_trusted_hosts(
    make_client: Any, fake_server: FakeServer
) -> None:
    output = await output_of(
        make_client(base_url=fake_server.base_url), fake_server, fake_server.base_url + "/a.png"
    )
    fake_server.respond_with(reply({"detail": "no"}, 401))
    with pytest.raises(AuthenticationError, match="DASHSCOPE_API_TOKEN") as caught:
        await output.read()
    assert "trusted_hosts" not in str(caught.value)


class TestRedirects:
    @variants("status", [301, 302, 303, 307, 308])
    async def test_a_download_follows_redirects(
        self, with_token: Any, fake_server: FakeServer, status: int
    ) -> None:
        output = await output_of(with_token, fake_server, fake_server.base_url + "/a.png")
        fake_server.respond_with(
            [
                redirect("/v1/b?x=1", status),
                redirect("c", status),
                redirect(fake_server.base_url + "/d", status),
                Reply(200, {}, b"x"),
            ]
        )
        assert await output.read() == b"x"
        assert fake_server.request_lines == [
            "GET /v1/a.png",
            "GET /v1/b?x=1",
            "GET /v1/c",
            "GET /v1/d",
        ]
        assert tokens(fake_server) == ["Bearer r8_token"] * 4

    async def test_a_redirect_to_another_origin_drops_the_token(
        self, with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(redirect(other_fake_server.base_url + "/b"))
        other_fake_server.respond_with(Reply(200, {}, b"x"))
        signed = {"owner": "a", "expiry": 1, "signature": "s"}
        async with with_token.files.download("f1", **signed) as download:
            assert await download.read() == b"x"
        assert tokens(fake_server) == ["Bearer r8_token"]
        assert tokens(other_fake_server) == [None]

    async def test_a_redirect_back_to_the_api_sends_the_token_again(
        self, with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        output = await output_of(with_token, fake_server, other_fake_server.base_url + "/a")
        other_fake_server.respond_with(redirect(fake_server.base_url + "/b"))
        fake_server.respond_with(Reply(200, {}, b"x"))
        assert await output.read() == b"x"
        assert (tokens(other_fake_server), tokens(fake_server)) == ([None], ["Bearer r8_token"])

    async def test_too_many_redirects_are_an_error(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await output_of(scripted_client, fake_server, fake_server.base_url + "/a")
        fake_server.respond_with(redirect("/v1/a"))
        with pytest.raises(APIResponseError, match="10 redirects"):
            await output.read()
        assert len(fake_server.requests) == 10

    @variants(
        ("location", "message"),
        [
            ("file:///etc/passwd", "scheme"),
            ("ftp://example.com/x", "scheme"),
            ("http://user:word@127.0.0.1:1/x", "user name"),
            ("http://127.0.0.1:99999/x", "not a URL"),
            ("http://example.com/a b", "space"),
        ],
    )
    async def test_a_redirect_to_an_invalid_url_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer, location: str, message: str
    ) -> None:
        output = await output_of(scripted_client, fake_server, fake_server.base_url + "/a")
        fake_server.respond_with(redirect(location))
        with pytest.raises(APIResponseError, match=rf"is not allowed: .*{message}"):
            await output.read()
        assert len(fake_server.requests) == 1

    async def test_a_redirect_without_a_location_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await output_of(scripted_client, fake_server, fake_server.base_url + "/a")
        fake_server.respond_with(Reply(302, {}, b"somewhere"))
        with pytest.raises(APIError, match="302"):
            await output.read()

    async def test_redirects_of_the_api_are_not_followed(
        self, with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(redirect(other_fake_server.base_url + "/account", 308))
        with pytest.raises(APIError, match=r"308.*Check the base URL"):
            await with_token.account.get()
        assert len(fake_server.requests) == 1
        assert other_fake_server.requests == []


class TestHostedAPI:
    """The API has a public https address. Rejected URLs are not requested."""

    @pytest.fixture
    def hosted(self, make_client: Any) -> Any:
        return make_client("r8_token", base_url=REMOTE)

    @variants(
        "url",
        [
            "http://files.example.com/a.png",
            "https://127.0.0.1/a.png",
            "https://localhost/a.png",
            "https://[::1]/a.png",
            "https://10.0.0.1/a.png",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/a.png",
            "https://user:word@files.example.com/a.png",
        ],
    )
    async def test_an_unsafe_output_url_is_not_requested(
        self, hosted: Any, flavor: str, url: str
    ) -> None:
        client = hosted._value._async if flavor == "sync" else hosted
        output = _plain(wrap_file_outputs(url, client._api))
        with pytest.raises(APIResponseError, match="is not allowed"):
            await output.read()


async def test_pages_are_requested_from_the_base_url_with_the_token(
    with_token: Any, fake_server: FakeServer, other_fake_server: FakeServer
) -> None:
    def script(received: Received) -> Reply:
        following = (
            None if "cursor" in received.path else f"{other_fake_server.base_url}/x?cursor=2"
        )
        body = {"results": [{"id": "p1", "status": "starting"}], "next": following}
        return reply(body)

    fake_server.respond_with(script)
    assert len([p async for p in with_token.paginate(with_token.predictions.list)]) == 2
    assert fake_server.request_lines == ["GET /v1/predictions", "GET /v1/predictions?cursor=2"]
    assert tokens(fake_server) == ["Bearer r8_token"] * 2
    assert other_fake_server.requests == []


class TestOverHTTPS:
    """Servers with certificates that replace the network."""

    @pytest.fixture
    def requested(self) -> list[tuple[str, str | None]]:
        return []

    @pytest.fixture
    def https(self, flavor: str, requested: list[tuple[str, str | None]]) -> Any:
        """Create clients whose URLs respond with a redirect to their location, or with `x`."""

        def make(locations: dict[str, str], **options: Any) -> Any:
            def handle(request: httpx.Request) -> httpx.Response:
                requested.append((str(request.url), request.headers.get("Authorization")))
                location = locations.get(str(request.url))
                if location is None:
                    return httpx.Response(200, content=b"x")
                return httpx.Response(302, headers={"location": location})

            http: Any = httpx.Client if flavor == "sync" else httpx.AsyncClient
            http_client = http(transport=httpx.MockTransport(handle))
            return make_client_of(flavor, "r8_token", http_client=http_client, **options)

        return make

    def output(self, client: Any, flavor: str, url: str) -> Any:
        api = (client._value._async if flavor == "sync" else client)._api
        return _plain(wrap_file_outputs(url, api))

    async def test_only_trusted_hosts_receive_the_token(
        self, https: Any, flavor: str, requested: list[Any]
    ) -> None:
        client = https({}, base_url=REMOTE, trusted_hosts=["*.example.com", "files.example.org"])
        urls = {
            "https://api.example.com/out/a": True,
            "https://files.example.com/a": True,
            "https://files.example.org/a": True,
            "https://example.com/a": False,
            "https://evil-example.com/a": False,
            "https://a.files.example.org/a": False,
            "https://api.example.com.evil.com/a": False,
        }
        for url in urls:
            assert await self.output(client, flavor, url).read() == b"x"
        assert requested == [(url, "Bearer r8_token" if yes else None) for url, yes in urls.items()]

    async def test_a_redirect_to_another_host_drops_the_token(
        self, https: Any, flavor: str, requested: list[Any]
    ) -> None:
        locations = {
            "https://files.example.com/a": "https://evil.com/b",
            "https://evil.com/b": "https://files.example.com/c",
        }
        client = https(locations, base_url=REMOTE, trusted_hosts=["files.example.com"])
        await self.output(client, flavor, "https://files.example.com/a").read()
        assert requested == [
            ("https://files.example.com/a", "Bearer r8_token"),
            ("https://evil.com/b", None),
            ("https://files.example.com/c", "Bearer r8_token"),
        ]

    @pytest.mark.parametrize("base_url", [REMOTE, "http://127.0.0.1:1/v1"])
    async def test_a_redirect_from_https_to_http_is_rejected(
        self, https: Any, flavor: str, requested: list[Any], base_url: str
    ) -> None:
        locations = {"https://files.example.com/a": "http://files.example.com/a"}
        client = https(locations, base_url=base_url)
        with pytest.raises(APIResponseError, match="goes from https to http"):
            await self.output(client, flavor, "https://files.example.com/a").read()
        assert [url for url, _ in requested] == ["https://files.example.com/a"]

    async def test_a_redirect_into_a_private_network_is_rejected(
        self, https: Any, flavor: str, requested: list[Any]
    ) -> None:
        locations = {"https://files.example.com/a": "https://169.254.169.254/latest"}
        client = https(locations, base_url=REMOTE)
        with pytest.raises(APIResponseError, match="private network"):
            await self.output(client, flavor, "https://files.example.com/a").read()
        assert len(requested) == 1
