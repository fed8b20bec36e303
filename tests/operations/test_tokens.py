"""Whose the token is: the API's own origin and trusted hosts, also across redirects."""

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
from dashscope._files.file_output import claim
from tests.colours import _plain
from tests.colours import make_client as make_client_of
from tests.wire import Received, Reply, Wire, prediction, reply

REMOTE = "https://api.example.com/v1"


def redirect(location: str, status: int = 302) -> Reply:
    return Reply(status, {"location": location})


async def output_of(client: Any, wire: Wire, url: str) -> Any:
    """A file output with that URL."""
    before = list(wire.requests)
    wire.says(reply(prediction("succeeded", output=url), 201))
    output = await client.run("owner/name", {})
    wire.requests[:] = before
    return output


def tokens(wire: Wire) -> list[str | None]:
    return [received.headers.get("Authorization") for received in wire.requests]


async def test_a_file_of_the_apis_own_origin_is_asked_with_the_token(
    with_token: Any, wire: Wire
) -> None:
    output = await output_of(with_token, wire, wire.base_url.replace("/v1", "/out/a.png"))
    wire.says(Reply(200, {}, b"x"))
    assert await output.read() == b"x"
    assert tokens(wire) == ["Bearer r8_token"]


async def test_a_file_elsewhere_is_asked_without_it(
    with_token: Any, wire: Wire, other_wire: Wire
) -> None:
    output = await output_of(with_token, wire, other_wire.base_url + "/a.png")
    other_wire.says(Reply(200, {}, b"x"))
    assert await output.read() == b"x"
    assert tokens(other_wire) == [None]
    assert wire.requests == []


async def test_a_trusted_host_gets_no_token_over_plain_http(
    make_client: Any, wire: Wire, other_wire: Wire
) -> None:
    client = make_client("r8_token", base_url=wire.base_url, trusted_hosts=["127.0.0.1"])
    output = await output_of(client, wire, other_wire.base_url + "/a.png")
    other_wire.says(Reply(200, {}, b"x"))
    await output.read()
    assert tokens(other_wire) == [None]


@pytest.mark.parametrize(
    ("status", "cls"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
async def test_a_refusal_for_want_of_the_token_names_trusted_hosts(
    with_token: Any, wire: Wire, other_wire: Wire, status: int, cls: type[APIError]
) -> None:
    output = await output_of(with_token, wire, other_wire.base_url + "/a.png")
    other_wire.says(reply({"detail": "who are you?"}, status))
    with pytest.raises(cls, match=r"who are you.*127\.0\.0\.1 .*trusted_hosts") as caught:
        await output.read()
    assert "Check the token" not in str(caught.value)
    assert "The token's account" not in str(caught.value)
    # Also where a redirect led there.
    output = await output_of(with_token, wire, wire.base_url + "/b.png")
    wire.says(redirect(other_wire.base_url + "/secret.png"))
    with pytest.raises(cls, match=r"who are you.*/secret\.png: .*trusted_hosts"):
        await output.read()


async def test_a_refusal_of_the_token_itself_does_not(with_token: Any, wire: Wire) -> None:
    output = await output_of(with_token, wire, wire.base_url + "/a.png")
    wire.says(reply({"detail": "no"}, 403))
    with pytest.raises(PermissionDeniedError) as caught:
        await output.read()
    assert "trusted_hosts" not in str(caught.value)


async def test_a_refusal_of_our_own_server_for_want_of_a_token_does_not(
    make_client: Any, wire: Wire
) -> None:
    output = await output_of(make_client(base_url=wire.base_url), wire, wire.base_url + "/a.png")
    wire.says(reply({"detail": "no"}, 401))
    with pytest.raises(AuthenticationError, match="DASHSCOPE_API_TOKEN") as caught:
        await output.read()
    assert "trusted_hosts" not in str(caught.value)


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_download_follows_them(self, with_token: Any, wire: Wire, status: int) -> None:
        output = await output_of(with_token, wire, wire.base_url + "/a.png")
        wire.says(
            [
                redirect("/v1/b?x=1", status),
                redirect("c", status),
                redirect(wire.base_url + "/d", status),
                Reply(200, {}, b"x"),
            ]
        )
        assert await output.read() == b"x"
        assert wire.asked == ["GET /v1/a.png", "GET /v1/b?x=1", "GET /v1/c", "GET /v1/d"]
        assert tokens(wire) == ["Bearer r8_token"] * 4

    async def test_the_token_does_not_go_to_another_origin(
        self, with_token: Any, wire: Wire, other_wire: Wire
    ) -> None:
        wire.says(redirect(other_wire.base_url + "/b"))
        other_wire.says(Reply(200, {}, b"x"))
        signed = {"owner": "a", "expiry": 1, "signature": "s"}
        async with with_token.files.download("f1", **signed) as download:
            assert await download.read() == b"x"
        assert tokens(wire) == ["Bearer r8_token"]
        assert tokens(other_wire) == [None]

    async def test_and_comes_back_to_its_own(
        self, with_token: Any, wire: Wire, other_wire: Wire
    ) -> None:
        output = await output_of(with_token, wire, other_wire.base_url + "/a")
        other_wire.says(redirect(wire.base_url + "/b"))
        wire.says(Reply(200, {}, b"x"))
        assert await output.read() == b"x"
        assert (tokens(other_wire), tokens(wire)) == ([None], ["Bearer r8_token"])

    async def test_they_end(self, wired: Any, wire: Wire) -> None:
        output = await output_of(wired, wire, wire.base_url + "/a")
        wire.says(redirect("/v1/a"))
        with pytest.raises(APIResponseError, match="10 redirects"):
            await output.read()
        assert len(wire.requests) == 10

    @pytest.mark.parametrize(
        ("location", "said"),
        [
            ("file:///etc/passwd", "scheme"),
            ("ftp://example.com/x", "scheme"),
            ("http://user:word@127.0.0.1:1/x", "user name"),
            ("http://127.0.0.1:99999/x", "not a URL"),
            ("http://example.com/a b", "space"),
        ],
    )
    async def test_they_lead_nowhere_odd(
        self, wired: Any, wire: Wire, location: str, said: str
    ) -> None:
        output = await output_of(wired, wire, wire.base_url + "/a")
        wire.says(redirect(location))
        with pytest.raises(APIResponseError, match=rf"is not asked: .*{said}"):
            await output.read()
        assert len(wire.requests) == 1

    async def test_one_without_a_location_is_an_error(self, wired: Any, wire: Wire) -> None:
        output = await output_of(wired, wire, wire.base_url + "/a")
        wire.says(Reply(302, {}, b"somewhere"))
        with pytest.raises(APIError, match="302"):
            await output.read()

    async def test_the_api_itself_is_not_followed(
        self, with_token: Any, wire: Wire, other_wire: Wire
    ) -> None:
        wire.says(redirect(other_wire.base_url + "/account", 308))
        with pytest.raises(APIError, match=r"308.*check the base URL"):
            await with_token.account.get()
        assert len(wire.requests) == 1
        assert other_wire.requests == []


class TestBehindAHostedAddress:
    """The API is at an https address: what is refused there, is refused without a request."""

    @pytest.fixture
    def hosted(self, make_client: Any) -> Any:
        return make_client("r8_token", base_url=REMOTE)

    @pytest.mark.parametrize(
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
    async def test_an_output_url_that_leads_astray_is_not_asked(
        self, hosted: Any, colour: str, url: str
    ) -> None:
        client = hosted._value._async if colour == "blocking" else hosted
        output = _plain(claim(url, client._api))
        with pytest.raises(APIResponseError, match="is not asked"):
            await output.read()


async def test_pages_are_asked_of_our_own_address_with_the_token(
    with_token: Any, wire: Wire, other_wire: Wire
) -> None:
    def script(received: Received) -> Reply:
        following = None if "cursor" in received.path else f"{other_wire.base_url}/x?cursor=2"
        body = {"results": [{"id": "p1", "status": "starting"}], "next": following}
        return reply(body)

    wire.says(script)
    assert len([p async for p in with_token.paginate(with_token.predictions.list)]) == 2
    assert wire.asked == ["GET /v1/predictions", "GET /v1/predictions?cursor=2"]
    assert tokens(wire) == ["Bearer r8_token"] * 2
    assert other_wire.requests == []


class TestOverHTTPS:
    """Servers with certificates, in the place of the network."""

    @pytest.fixture
    def asked(self) -> list[tuple[str, str | None]]:
        return []

    @pytest.fixture
    def https(self, colour: str, asked: list[tuple[str, str | None]]) -> Any:
        """Makes clients for which each URL answers with its location, or with `x`."""

        def make(locations: dict[str, str], **options: Any) -> Any:
            def handle(request: httpx.Request) -> httpx.Response:
                asked.append((str(request.url), request.headers.get("Authorization")))
                location = locations.get(str(request.url))
                if location is None:
                    return httpx.Response(200, content=b"x")
                return httpx.Response(302, headers={"location": location})

            http: Any = httpx.Client if colour == "blocking" else httpx.AsyncClient
            http_client = http(transport=httpx.MockTransport(handle))
            return make_client_of(colour, "r8_token", http_client=http_client, **options)

        return make

    def output(self, client: Any, colour: str, url: str) -> Any:
        api = (client._value._async if colour == "blocking" else client)._api
        return _plain(claim(url, api))

    async def test_trusted_hosts_get_the_token_and_others_do_not(
        self, https: Any, colour: str, asked: list[Any]
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
            assert await self.output(client, colour, url).read() == b"x"
        assert asked == [(url, "Bearer r8_token" if yes else None) for url, yes in urls.items()]

    async def test_a_redirect_to_another_host_loses_the_token(
        self, https: Any, colour: str, asked: list[Any]
    ) -> None:
        locations = {
            "https://files.example.com/a": "https://evil.com/b",
            "https://evil.com/b": "https://files.example.com/c",
        }
        client = https(locations, base_url=REMOTE, trusted_hosts=["files.example.com"])
        await self.output(client, colour, "https://files.example.com/a").read()
        assert asked == [
            ("https://files.example.com/a", "Bearer r8_token"),
            ("https://evil.com/b", None),
            ("https://files.example.com/c", "Bearer r8_token"),
        ]

    @pytest.mark.parametrize("base_url", [REMOTE, "http://127.0.0.1:1/v1"])
    async def test_a_redirect_from_https_to_http_is_refused(
        self, https: Any, colour: str, asked: list[Any], base_url: str
    ) -> None:
        locations = {"https://files.example.com/a": "http://files.example.com/a"}
        client = https(locations, base_url=base_url)
        with pytest.raises(APIResponseError, match="leaves https for http"):
            await self.output(client, colour, "https://files.example.com/a").read()
        assert [url for url, _ in asked] == ["https://files.example.com/a"]

    async def test_a_redirect_into_the_private_network_is_refused(
        self, https: Any, colour: str, asked: list[Any]
    ) -> None:
        locations = {"https://files.example.com/a": "https://169.254.169.254/latest"}
        client = https(locations, base_url=REMOTE)
        with pytest.raises(APIResponseError, match="private network"):
            await self.output(client, colour, "https://files.example.com/a").read()
        assert len(asked) == 1
