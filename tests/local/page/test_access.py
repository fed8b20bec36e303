"""Access to the pages: the token, sessions, and requests from other sites."""

import time
from collections.abc import Iterator

import httpx
import pytest

from dashscope.local import LocalServer
from dashscope.local.pages.access import LIFETIME, safe_return
from tests.local.page.conftest import Parsed
from tests.variants import variants

TOKEN = "a secret of the test"


@pytest.fixture(scope="module")
def locked() -> Iterator[LocalServer]:
    with LocalServer(token=TOKEN) as server:
        yield server


@pytest.fixture
def browser(locked: LocalServer) -> Iterator[httpx.Client]:
    root = locked.base_url.removesuffix("/v1")
    with httpx.Client(base_url=root, headers={"Origin": root}) as client:
        yield client


def sign_in(browser: httpx.Client, token: str = TOKEN, path: str = "") -> httpx.Response:
    return browser.post("/web/sign-in", data={"token": token, "next": path})


class TestSignIn:
    def test_the_token_is_required(self, browser: httpx.Client) -> None:
        for path in ("/web/", "/web/predictions/x", "/web/models/a/b", "/web/nope"):
            response = browser.get(path)
            assert response.status_code == 303
            assert response.headers["location"] == f"/web/sign-in?next={path}"
            assert not response.text
        for path in ("/web/events", "/web/predictions/x/events"):
            assert browser.get(path).status_code == 401
        posts = ["/web/models/dashscope/hello-world", "/web/predictions/x/again", "/web/sign-out"]
        for path in posts:
            assert browser.post(path).status_code == 401

    def test_the_token_opens_a_session(self, browser: httpx.Client, locked: LocalServer) -> None:
        page = browser.get("/web/predictions", follow_redirects=True)
        assert Parsed(page).by_id("token")["type"] == "password"
        response = sign_in(browser, path="/web/predictions")
        assert (response.status_code, response.headers["location"]) == (303, "/web/predictions")
        cookie = response.headers["set-cookie"]
        assert TOKEN not in cookie
        for message in ("HttpOnly", "SameSite=strict", "Path=/web;", f"Max-Age={LIFETIME}"):
            assert message in cookie
        assert "Secure" not in cookie
        assert Parsed(browser.get("/web/predictions")).all("h1")
        run = browser.post("/web/models/dashscope/hello-world", data={"input:text": "x"})
        assert run.status_code == 303

    def test_the_token_may_be_in_a_header(self, browser: httpx.Client) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert browser.get("/web/", headers=headers).status_code == 200

    def test_the_sign_in_page_reveals_nothing(self, browser: httpx.Client) -> None:
        nasty = '"><script>alert(1)</script>'
        for page in (browser.get("/web/sign-in", params={"next": nasty}), sign_in(browser, nasty)):
            assert len(Parsed(page).all("script")) == 1
        assert {"type": "hidden", "name": "next", "value": nasty} in Parsed(
            sign_in(browser, "wrong", nasty)
        ).all("input")

    @variants("token", ["", "wrong", TOKEN[:-1], "é", "x" * 5000])
    def test_a_wrong_token_is_rejected(self, browser: httpx.Client, token: str) -> None:
        response = sign_in(browser, token)
        assert response.status_code == 401
        assert "set-cookie" not in response.headers
        assert "The token is incorrect" in Parsed(response).text
        assert browser.get("/web/").status_code == 303

    def test_signing_out_removes_the_cookie(self, browser: httpx.Client) -> None:
        sign_in(browser)
        assert browser.get("/web/").status_code == 200
        assert browser.post("/web/sign-out").status_code == 303
        assert browser.get("/web/").status_code == 303

    def test_the_cookie_does_not_authorize_the_api(self, browser: httpx.Client) -> None:
        sign_in(browser)
        assert browser.get("/v1/account").status_code == 401
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert browser.get("/v1/account", headers={"Cookie": cookie}).status_code == 401

    def test_a_session_expires(
        self, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign_in(browser)
        later = time.time() + LIFETIME + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert browser.get("/web/").status_code == 303

    @variants(
        "cookie", ["", ".", "x", "99999999999.", "99999999999.aaaa", "-1.x", "1.2.3", "9" * 6000]
    )
    def test_a_forged_cookie_is_rejected(
        self, browser: httpx.Client, locked: LocalServer, cookie: str
    ) -> None:
        port = httpx.URL(locked.base_url).port
        headers = {"Cookie": f"dashscope-{port}={cookie}"}
        assert browser.get("/web/", headers=headers).status_code == 303

    def test_a_cookie_of_another_server_is_rejected(self, browser: httpx.Client) -> None:
        sign_in(browser)
        (cookie,) = browser.cookies.values()
        with LocalServer(token="another") as other:
            url = other.base_url.replace("/v1", "/web/")
            name = f"dashscope-{httpx.URL(url).port}"
            assert httpx.get(url, headers={"Cookie": f"{name}={cookie}"}).status_code == 303

    @variants(
        ("path", "to"),
        [
            ("/web/predictions/x", "/web/predictions/x"),
            ("https://evil.example/", "/web/"),
            ("//evil.example/web/", "/web/"),
            ("/\\evil.example", "/web/"),
            ("/web/\\evil", "/web/"),
            ("/v1/account", "/web/"),
            ("/web/\r\nSet-Cookie: a=b", "/web/"),
            ("javascript:alert(1)", "/web/"),
            ("", "/web/"),
        ],
    )
    def test_sign_in_does_not_redirect_to_other_sites(self, path: str, to: str) -> None:
        assert safe_return(path) == to

    def test_assets_of_the_sign_in_page_need_no_token(self, browser: httpx.Client) -> None:
        for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
            response = browser.get(f"/web/assets/{name}")
            assert response.status_code == 200
            assert response.headers["content-type"].startswith(kind)

    @variants("host", ["x:y", "[::1", "a:99999999", "", "é".encode()])
    def test_an_invalid_host_header_grants_no_access(
        self, browser: httpx.Client, host: str | bytes
    ) -> None:
        response = browser.get("/web/", headers={b"Host": host})
        assert response.status_code in {303, 400}

    def test_without_a_token_no_sign_in_is_required(self, web: httpx.Client) -> None:
        assert web.get("/web/sign-in").headers["location"] == "/web/"


class TestOtherSites:
    @variants(
        "origin",
        ["https://evil.example", "null", "", "http://localhost:1", "http://127.0.0.1",
         "http://[", "file://"],
    )  # fmt: skip
    def test_other_sites_cannot_send_forms(
        self, web: httpx.Client, http: httpx.Client, origin: str
    ) -> None:
        before = http.get("/predictions").json()["results"][:1]
        for path in ("/web/models/dashscope/hello-world", "/web/predictions/x/cancel"):
            response = web.post(path, data={"input:text": "x"}, headers={"Origin": origin})
            assert response.status_code == 403
        assert http.get("/predictions").json()["results"][:1] == before

    def test_forms_need_an_origin(self, root: str) -> None:
        response = httpx.post(f"{root}/web/models/dashscope/hello-world", data={"input:text": "x"})
        assert response.status_code == 403

    @variants("site", ["cross-site", "same-site"])
    @variants("mode", ["no-cors", "cors", "same-origin"])
    def test_other_sites_cannot_embed_pages(self, web: httpx.Client, site: str, mode: str) -> None:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        for path in ("/web/", "/web/events", "/web/assets/page.js"):
            assert web.get(path, headers=headers).status_code == 403

    def test_other_sites_may_link_to_pages(self, web: httpx.Client) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert web.get("/web/", headers=headers).status_code == 200
        assert web.post("/web/sign-out", headers=headers).status_code == 403

    @variants("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost."])
    def test_dns_rebinding_is_rejected(self, web: httpx.Client, host: str) -> None:
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert web.get("/web/", headers=headers).status_code in {400, 403}
        path = "/web/models/dashscope/hello-world"
        assert web.post(path, headers=headers, data={}).status_code in {400, 403}

    def test_no_cors_headers_are_sent(self, web: httpx.Client) -> None:
        for path in ("/web/", "/web/nope", "/web/assets/page.css"):
            headers = web.get(path).headers
            assert not [name for name in headers if name.startswith("access-control-")]
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["x-frame-options"] == "DENY"

    def test_other_sites_cannot_use_other_methods(self, web: httpx.Client) -> None:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"):
            response = web.request(method, "/web/", headers={"Origin": "https://evil.example"})
            assert response.status_code == 403


class TestHeaders:
    def test_the_content_security_policy_allows_only_own_content(self, web: httpx.Client) -> None:
        pages = [web.get(path) for path in ("/web/", "/web/", "/web/nope", "/web/predictions")]
        nonces = set()
        for page in pages:
            (script,) = Parsed(page).all("script")
            policy = dict(
                part.strip().split(" ", 1)
                for part in page.headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == f"'nonce-{script['nonce']}'"
            assert policy["form-action"] == "'self'"
            assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
            assert "unsafe" not in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["referrer-policy"] == "same-origin"
            assert page.headers["cache-control"] == "no-store"
            nonces.add(script["nonce"])
        assert len(nonces) == len(pages)

    def test_assets_have_a_media_type(self, web: httpx.Client) -> None:
        for name in ("page.css", "page.js", "icon.svg"):
            response = web.get(f"/web/assets/{name}")
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "http://" not in response.text.replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in response.text
        # Browsers keep the assets that a page names, because their URLs change with their content.
        (script,) = Parsed(web.get("/web/")).all("script")
        assert "immutable" in web.get(script["src"]).headers["cache-control"]
        assert "cache-control" not in web.get("/web/assets/page.js?other").headers
