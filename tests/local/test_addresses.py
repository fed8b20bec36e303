"""The addresses of the server, and the URLs that it creates."""

import json
import logging
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from dashscope.local import LocalServer
from dashscope.local.http.address import Address, Reachability, parse_networks
from tests.local.conftest import MODELS
from tests.servers.webhook_receiver import Receiver
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until


def test_urls_start_with_the_host_of_the_request(tmp_path: Path, receiver: Receiver) -> None:
    with LocalServer(models=MODELS, data=tmp_path) as server:
        other = server.base_url.replace("127.0.0.1", "localhost").removesuffix("/v1")
        with httpx.Client(base_url=f"{other}/v1/", timeout=30) as http:
            body = {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
            created = http.post("models/test/image/predictions", json=body).json()
            finished = wait_for_status(http, created, "succeeded")
            assert finished["urls"]["get"].startswith(f"{other}/v1/")
            assert finished["output"].startswith(f"{other}/v1/files/")
            assert httpx.get(finished["output"]).status_code == 200
            wait_until(lambda: receiver.received)
            assert receiver.received[0].json == finished
            elsewhere = httpx.get(f"{server.base_url}/predictions/{created['id']}").json()
            assert elsewhere["output"].startswith(server.base_url)
            assert http.get("predictions").json()["results"][0]["urls"] == finished["urls"]
            page = httpx.get(f"{other}/web/models/test/image").text
            assert f"DASHSCOPE_BASE_URL={other}/v1" in page


def test_files_of_the_server_are_recognized_at_every_address(tmp_path: Path) -> None:
    with LocalServer(models=MODELS, data=tmp_path) as server:
        other = server.base_url.replace("127.0.0.1", "localhost")
        file = httpx.post(f"{other}/files", files={"content": ("a.csv", b"text")}).json()
        url = f"{server.base_url}/models/test/read/predictions"
        headers = {"Prefer": "wait"}
        for given in (file["urls"]["get"], file["urls"]["download"]):
            done = httpx.post(url, json={"input": {"file": given}}, headers=headers).json()
            assert done["output"] == {"text": "text", "suffix": ".csv", "others": []}
        gone = file["urls"]["get"].replace(file["id"], "a" * 26)
        assert httpx.post(url, json={"input": {"file": gone}}).status_code == 422


def test_urls_never_contain_the_unspecified_address(tmp_path: Path) -> None:
    with LocalServer(host="0.0.0.0", token="secret", data=tmp_path) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        headers = {"Authorization": "Bearer secret", "Host": "0.0.0.0:1234"}
        response = httpx.get(f"{server.base_url}/models", headers=headers)
        assert "0.0.0.0" not in json.dumps(response.json())
        assert "http://127.0.0.1:1234/v1/models/" in response.text


OWN = Address("http", "127.0.0.1:3274")
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "example.com"}


@variants(
    ("peer", "headers", "url"),
    [
        ("127.0.0.1", {}, "http://127.0.0.1:3274"),
        ("127.0.0.1", {"Host": "localhost:8080"}, "http://localhost:8080"),
        ("127.0.0.1", {"Host": "localhost:65536"}, None),
        ("127.0.0.1", {"Host": ""}, None),
        ("127.0.0.1", {"Host": "a", **FORWARDED}, "http://a"),
        ("10.1.2.3", {"Host": "a", **FORWARDED}, "https://example.com"),
        ("::ffff:10.1.2.3", {"Host": "a", **FORWARDED}, "https://example.com"),
        ("fe80::1%eth0", {"Host": "a", **FORWARDED}, "https://example.com"),
        ("11.1.2.3", {"Host": "a", **FORWARDED}, "http://a"),
        ("10.1.2.3", {"Host": "a/", **FORWARDED}, None),
        ("10.1.2.3", {"Host": "a:1", "X-Forwarded-Proto": "https"}, "https://a:1"),
        ("10.1.2.3", {"Host": "a", "X-Forwarded-Prefix": "/b/c/"}, "http://a/b/c"),
        ("10.1.2.3", {"Host": "a", "X-Forwarded-Prefix": "/"}, "http://a"),
        # The nearest proxy has added the last value.
        ("10.1.2.3", {"X-Forwarded-Host": "evil.example, b:1"}, "http://b:1"),
        ("10.1.2.3", {"X-Forwarded-Host": "evil.example@b"}, None),
        ("10.1.2.3", {"X-Forwarded-Host": "0.0.0.0:1"}, "http://127.0.0.1:1"),
        ("10.1.2.3", {"X-Forwarded-Proto": "javascript"}, None),
        ("10.1.2.3", {"X-Forwarded-Prefix": "//evil.example"}, None),
        ("10.1.2.3", {"X-Forwarded-Prefix": "/a/../b"}, None),
        ("10.1.2.3", {"X-Forwarded-Prefix": "/a?b"}, None),
    ],
)
def test_the_client_address_of_a_request(
    peer: str, headers: dict[str, str], url: str | None
) -> None:
    networks = parse_networks(["10.0.0.0/8", "fe80::1"])
    reachability = Reachability(own=OWN, public=None, proxies=networks)
    scope = {"client": (peer, 1)}
    if url is None:
        with pytest.raises(ValueError, match="must be"):
            reachability.address(scope, Headers(headers))
    else:
        assert reachability.address(scope, Headers(headers)).url == url
        public = Address.parse("https://public.example/x/")
        overridden = Reachability(own=OWN, public=public, proxies=networks)
        assert overridden.address(scope, Headers(headers)).url == "https://public.example/x"


@variants(
    "url",
    [
        *("example.com", "ftp://example.com", "https://", "https://a b", "https://u@example.com"),
        *("https://example.com/v1", "https://example.com/a?b", "https://example.com/#b"),
        *("https://example.com//a", "https://example.com:99999", "https://[::1"),
    ],
)
def test_a_public_url_that_cannot_be_used_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="The public URL cannot be used"):
        LocalServer(public_url=url)


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    for text in ("example.com", "10.0.0.1/8", ""):
        with pytest.raises(ValueError, match="trusted proxy must be an address or a network"):
            LocalServer(trusted_proxies=[text])


@pytest.mark.parametrize("public", [False, True], ids=["trusted_proxies", "public_url"])
def test_a_server_without_a_token_behind_a_proxy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, receiver: Receiver, public: bool
) -> None:
    """The external address is the server's origin for forms, the API, files and webhooks."""
    address = "https://example.com/models"
    own, sent = {"Origin": "https://example.com"}, {}
    options = {"public_url": address} if public else {"trusted_proxies": "127.0.0.0/8"}
    if not public:
        sent = {**FORWARDED, "X-Forwarded-Prefix": "/models"}
    with (
        caplog.at_level(logging.WARNING),
        LocalServer(models=MODELS, data=tmp_path, **options) as server,
        httpx.Client(base_url=server.base_url.removesuffix("v1"), headers=sent) as http,
    ):
        assert server.base_url.startswith("http://127.0.0.1:")
        assert "without a token, everyone who reaches" in caplog.text
        assert http.get("v1/account", headers={"Host": "example.com"}).status_code == 200
        unexpected = {"Host": "evil.example", "X-Forwarded-Host": ""}
        assert http.get("v1/account", headers=unexpected).status_code == 403

        body = {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
        path = "v1/models/test/image/predictions"
        foreign = {"Origin": "http://example.com"}
        assert http.post(path, json=body, headers=foreign).status_code == 403
        created = http.post(path, json=body, headers=own).json()
        assert created["urls"]["get"] == f"{address}/v1/predictions/{created['id']}"
        wait_until(lambda: receiver.received)
        output = receiver.received[0].json["output"]
        assert output.startswith(f"{address}/v1/files/")
        # The proxy may pass the path with or without the prefix.
        for local in ("", "models/"):
            assert http.get(output.replace(f"{address}/", local)).status_code == 200

        stored = http.post("v1/files", files={"content": ("a.csv", b"text")}).json()
        url = stored["urls"]["get"].replace(address, "https://elsewhere.example/other")
        read = {"input": {"file": url}}
        done = http.post("v1/models/test/read/predictions", json=read, headers={"Prefer": "wait"})
        assert done.json()["output"]["suffix"] == ".csv"
        gone = {"file": f"{address}/v1/files/{'a' * 26}"}
        refused = http.post("v1/models/test/read/predictions", json={"input": gone})
        assert refused.status_code == 422

        form = {"input:text": "x"}
        page = "/web/models/dashscope/hello-world"
        assert http.post(page, data=form, headers=foreign).status_code == 403
        submitted = http.post(page, data=form, headers=own)
        assert submitted.headers["location"].startswith(f"/models{page}?run=")
        assert http.get("/").headers["location"] == "/models/web/"
        shown = http.get(f"/web/predictions/{created['id']}").text
        assert f'src="/models{output.removeprefix(address)}'.replace("&", "&amp;") in shown


def test_without_a_trusted_proxy_forwarded_headers_are_ignored(tmp_path: Path) -> None:
    with LocalServer(token="secret", data=tmp_path) as server:
        headers = {**FORWARDED, "X-Forwarded-For": "1.2.3.4", "Authorization": "Bearer secret"}
        response = httpx.get(f"{server.base_url}/models", headers=headers)
        assert response.json()["results"][0]["url"].startswith(server.base_url)


def test_a_session_behind_tls(tmp_path: Path) -> None:
    with LocalServer(token="secret", trusted_proxies="127.0.0.1", data=tmp_path) as server:
        headers = {**FORWARDED, "X-Forwarded-Prefix": "/models", "Origin": "https://example.com"}
        with httpx.Client(base_url=server.base_url.removesuffix("/v1"), headers=headers) as http:
            requested = http.get("/web/predictions")
            assert requested.headers["location"] == "/models/web/sign-in?next=/web/predictions"
            form = {"token": "secret", "next": "/web/predictions"}
            signed_in = http.post("/web/sign-in", data=form)
            assert signed_in.headers["location"] == "/models/web/predictions"
            cookie = signed_in.headers["set-cookie"]
            assert "Path=/models/web;" in cookie
            assert "Secure" in cookie
