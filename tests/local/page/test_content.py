"""The content of the pages. Text of models and users is always escaped."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from dashscope.local import LocalServer, model
from tests.local.page.conftest import Parsed
from tests.servers.webhook_receiver import Receiver
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until

Run = Callable[..., dict[str, Any]]

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "vbscript:x",
    "//evil.example/x",
    'https://evil.example/" onclick="alert(1)',
    "{{ 7 * 7 }}{% raw %}",
    "</textarea><script>alert(1)</script>",
    "]]><!-- <script>",
]  # fmt: skip


def harmless(page: httpx.Response) -> Parsed:
    """Parse a page, and check that all its active content is from the server."""
    parsed = Parsed(page)
    scripts = parsed.all("script")
    assert [script["src"].partition("?")[0] for script in scripts] == ["/web/assets/page.js"]
    for tag, attributes in parsed.elements:
        assert tag not in {"iframe", "object", "embed", "style", "base", "svg"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, attributes)
            assert name not in {"style", "srcdoc", "autofocus", "formaction"}, (tag, attributes)
            if name in {"href", "src", "action"}:
                assert urlsplit(value).scheme in {"", "http", "https", "data"}, value
                assert not value.startswith("//")
                assert not value.startswith("data:") or value.startswith("data:image/png"), value
    return parsed


class TestText:
    @variants("text", NASTY)
    def test_model_output_is_escaped(self, web: httpx.Client, run: Run, text: str) -> None:
        for value in (text, [text, text], {text: text}):
            page = web.get(run("test/echo", value=value)["urls"]["web"])
            assert text in harmless(page).text or "\\" in page.text
        harmless(web.get("/web/predictions"))
        harmless(web.get("/web/"))

    @variants("text", NASTY)
    def test_inputs_are_escaped(self, web: httpx.Client, run: Run, text: str) -> None:
        prediction = run("dashscope/hello-world", text=text)
        parsed = harmless(web.get(prediction["urls"]["web"]))
        assert f"hello {text}" in parsed.text
        form = web.get(f"/web/models/dashscope/hello-world?from={prediction['id']}")
        assert text in harmless(form).text
        refused = web.post("/web/models/test/typed", data={"input:text": "x", "input:count": text})
        assert refused.status_code == 422
        assert harmless(refused).by_id("input-count")["value"] == text.strip()

    @variants("text", NASTY)
    def test_errors_and_logs_are_escaped(self, web: httpx.Client, run: Run, text: str) -> None:
        parsed = harmless(web.get(run("test/fails", message=text)["urls"]["web"]))
        assert f"Failed: {text}" in parsed.text

    def test_model_descriptions_are_escaped(self) -> None:
        @model("me/nasty", description=NASTY[0], readme="\n".join(NASTY))
        def nasty(text: str = NASTY[1]) -> str:
            """Is nasty.

            Args:
                text: <script>alert(1)</script>
            """
            return text

        with LocalServer(models=[nasty]) as server:
            for path in ("/web/", "/web/models/me/nasty"):
                parsed = harmless(httpx.get(server.base_url.replace("/v1", path)))
                assert NASTY[0] in parsed.text

    def test_paths_are_escaped(self, web: httpx.Client) -> None:
        for path in (
            "/web/predictions/<script>alert(1)<%2Fscript>",
            "/web/models/<b>/<i>",
            "/web/<svg onload=alert(1)>",
            "/web/predictions?version=<script>&cursor=<script>",
            '/web/predictions?version="><script>',
        ):  # fmt: skip
            harmless(web.get(path))

    def test_webhooks_are_escaped(
        self, web: httpx.Client, http: httpx.Client, receiver: Receiver
    ) -> None:
        url = f"{receiver.url}/<script>x</script>"
        body = {"input": {"value": 1}, "webhook": url}
        created = http.post("/models/test/echo/predictions", json=body).json()

        def messages() -> bool:
            harmless(web.get(created["urls"]["web"]))
            return f"completed to {url}" in harmless(web.get("/web/webhooks")).text

        wait_until(messages)
        links = [link["href"] for link in Parsed(web.get("/web/webhooks")).all("a")]
        assert f"/web/predictions/{created['id']}" in links

    def test_only_complete_http_urls_become_links(self, web: httpx.Client, run: Run) -> None:
        url = "https://example.com/a?b=c&d=<e>"
        links = [
            link
            for link in Parsed(web.get(run("test/echo", value=url)["urls"]["web"])).all("a")
            if link["href"] == url
        ]
        # The value is the input as well as the output.
        assert [link["rel"] for link in links] == ["noopener noreferrer nofollow"] * 2
        page = web.get(run("test/echo", value=f"see {url}")["urls"]["web"])
        assert not [link for link in Parsed(page).all("a") if url in link["href"]]


class TestFiles:
    def test_images_are_loaded_from_the_same_origin(self, web: httpx.Client, run: Run) -> None:
        page = web.get(run("test/image", width=40)["urls"]["web"])
        (source,) = [i["src"] for i in harmless(page).all("img") if "/files/" in i["src"]]
        assert source.startswith("/v1/files/")
        image = web.get(source)
        assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
        assert all("alt" in image for image in Parsed(page).all("img"))

    def test_a_text_file_shows_its_start(self, web: httpx.Client, run: Run) -> None:
        page = web.get(run("test/files", text="<b>first line</b>")["urls"]["web"])
        parsed = harmless(page)
        assert parsed.text.count("<b>first line</b>") >= 3
        assert [link for link in parsed.all("a") if "download" in link]

    def test_data_urls_of_images_are_shown(self, web: httpx.Client, run: Run) -> None:
        data = base64.b64encode(b"\x89PNG").decode()
        page = web.get(run("test/echo", value=f"data:image/png;base64,{data}")["urls"]["web"])
        assert [i for i in harmless(page).all("img") if i["src"].startswith("data:image/png")]

    def test_no_content_of_other_sites_is_embedded(self, web: httpx.Client, run: Run) -> None:
        page = web.get(run("test/echo", value=["https://example.com/x.png"])["urls"]["web"])
        assert not [i for i in harmless(page).all("img") if "example.com" in i["src"]]


class TestPages:
    def test_the_root_redirects_to_the_pages(self, web: httpx.Client) -> None:
        for path in ("/", "/web"):
            assert web.get(path).headers["location"] == "/web/"

    def test_every_model_is_listed(self, web: httpx.Client) -> None:
        parsed = Parsed(web.get("/web/"))
        links = {link["href"] for link in parsed.all("a")}
        [older] = [link["href"] for link in parsed.all("a") if link.get("rel") == "next"]
        second = Parsed(web.get(f"/web/{older}"))
        links |= {link["href"] for link in second.all("a")}
        assert {"/web/models/dashscope/markov", "/web/models/test/private"} <= links
        assert "Generates text in the style of its training text" in parsed.text + second.text

    def test_the_web_url_of_a_prediction_is_its_page(
        self, web: httpx.Client, root: str, run: Run
    ) -> None:
        prediction = run("test/logs")
        assert prediction["urls"]["web"] == f"{root}/web/predictions/{prediction['id']}"
        text = Parsed(web.get(prediction["urls"]["web"])).text
        for message in ("test/logs", "succeeded", "logged", "from a child", prediction["id"]):
            assert message in text

    def test_streamed_text_is_joined(self, web: httpx.Client, run: Run) -> None:
        assert "0 1 2 " in Parsed(web.get(run("test/parts", count=3)["urls"]["web"])).text

    def test_long_values_are_truncated(self, web: httpx.Client, run: Run) -> None:
        long = web.get(run("test/echo", value="x" * 300_000)["urls"]["web"])
        assert "200,000 more characters" in long.text
        assert len(long.text) < 250_000
        items = web.get(run("test/echo", value=["y"] * 1000)["urls"]["web"])
        assert "900 more items" in items.text
        huge = run("test/echo", value="z" * 3_000_000)
        page = web.get(huge["urls"]["web"])
        assert "too large for this page" in page.text
        assert len(page.text) < 200_000
        assert web.get(f"{huge['urls']['web']}/json").json()["output"] == huge["output"]
        listed = web.get("/web/predictions")
        assert len(listed.text) < 500_000

    def test_lists_are_paged(self) -> None:
        @model("me/quick", concurrency=1)
        def quick(number: int) -> int:
            return number

        with LocalServer(models=[quick]) as server:
            with httpx.Client(base_url=server.base_url.removesuffix("/v1")) as client:
                for number in range(26):
                    body = {"input": {"number": number}}
                    client.post("/v1/models/me/quick/predictions", json=body)
                first = client.get("/web/predictions")
                (older,) = [a["href"] for a in Parsed(first).all("a") if a.get("rel") == "next"]
                second = client.get(f"/web/predictions{older}")
            rows = [
                [a for a in Parsed(page).all("a") if a.get("class") == "go"]
                for page in (first, second)
            ]
            assert [len(row) for row in rows] == [25, 1]
            assert [a for a in Parsed(second).all("a") if a.get("rel") == "prev"]

    def test_a_running_job_can_be_canceled(
        self, web: httpx.Client, http: httpx.Client, create: Run
    ) -> None:
        prediction = create("test/sleep")
        wait_for_status(http, prediction, "processing")
        page = web.get(prediction["urls"]["web"])
        (cancel,) = [f["action"] for f in Parsed(page).all("form") if "cancel" in f["action"]]
        response = web.post(cancel)
        assert response.status_code == 303
        assert "canceled" in Parsed(web.get(response.headers["location"])).text
        assert wait_for_status(http, prediction, "canceled")

    def test_a_finished_job_can_be_rerun(
        self, web: httpx.Client, http: httpx.Client, run: Run
    ) -> None:
        prediction = run("dashscope/hello-world", text="once more")
        page = web.get(prediction["urls"]["web"])
        (again,) = [f["action"] for f in Parsed(page).all("form") if "again" in f["action"]]
        response = web.post(again)
        assert response.status_code == 303
        second = response.headers["location"].rpartition("/")[2]
        assert second != prediction["id"]
        seen = wait_for_status(http, {"urls": {"get": f"/predictions/{second}"}}, "succeeded")
        assert (seen["output"], seen["source"]) == ("hello once more", "web")

    def test_trainings_show_their_version(self, web: httpx.Client, http: httpx.Client) -> None:
        response = web.post(
            "/web/models/test/trainable/train",
            data={"destination": "local/from-a-page", "input:times": "2"},
            files={"upload:text": ("words.txt", b"hello ", "text/plain")},
        )
        assert response.status_code == 303
        training = response.headers["location"]
        seen = wait_for_status(http, {"urls": {"get": training.replace("/web", "")}}, "succeeded")
        parsed = Parsed(web.get(training))
        version = seen["output"]["version"].partition(":")[2]
        assert f"/web/models/local/from-a-page?version={version}" in [
            a["href"] for a in parsed.all("a")
        ]
        assert "test/trainable → local/from-a-page" in Parsed(web.get("/web/trainings")).text
        assert "hello hello " in run_form(web, "/web/models/local/from-a-page")

    @variants(
        ("path", "status"),
        [
            ("/web/predictions/nope", 404),
            ("/web/trainings/nope", 404),
            ("/web/models/no/such", 404),
            ("/web/models/test/echo?version=nope", 404),
            ("/web/models/test/echo/train", 404),
            ("/web/nope", 404),
            ("/web/assets/nope.js", 404),
            ("/web/assets/..%2fapp.py", 404),
            ("/web/predictions?cursor=nope", 400),
            ("/web/?cursor=nope", 400),
        ],
    )
    def test_a_missing_page_is_a_404_page(self, web: httpx.Client, path: str, status: int) -> None:
        page = web.get(path)
        assert page.status_code == status
        assert Parsed(page).all("h1")

    def test_api_errors_stay_json(self, web: httpx.Client) -> None:
        for path in ("/predictions", "/nope", "/webx", "/v1/nope"):
            assert web.get(path).headers["content-type"] == "application/problem+json"

    def test_webhooks_contain_the_url_of_the_page(self, http: httpx.Client, run: Run) -> None:
        prediction = run("test/pid")
        assert http.get(prediction["urls"]["get"]).json()["urls"] == prediction["urls"]


def run_form(web: httpx.Client, path: str) -> str:
    page = web.post(path, data={"input:prompt": ""}).headers["location"]
    return wait_until(lambda: text if "succeeded" in (text := Parsed(web.get(page)).text) else "")
