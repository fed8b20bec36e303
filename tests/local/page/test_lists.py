"""Lists with filters, and the pages of deployments, files, collections, hardware and webhooks."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx

from tests.local.page.conftest import Parsed
from tests.waiting import wait_for_status, wait_until

Run = Callable[..., dict[str, Any]]


def listed(web: httpx.Client, **filters: str) -> list[str]:
    rows = Parsed(web.get("/web/predictions", params=filters)).all("li")
    return [row["id"].removeprefix("row-") for row in rows if row.get("id", "").startswith("row-")]


class TestFilters:
    def test_filters_select_jobs(self, web: httpx.Client, run: Run) -> None:
        text = 'needle 100% "quoted" ü_'
        found = run("test/echo", value=text)["id"]
        failed = run("test/fails", message="needle of a failure")["id"]
        assert listed(web, q="needle")[:2] == [failed, found]
        for q in (text, "100%", '"quoted"', "ü_", found[:10], "NEEDLE 100"):
            assert found in listed(web, q=q)
            assert failed not in listed(web, q=q)
        assert listed(web, q="needle_of") == []
        assert listed(web, q="needle", status="failed") == [failed]
        assert listed(web, q="needle", model="test/echo") == [found]
        assert listed(web, q="needle", since="hour") == [failed, found]
        # Unknown filters are ignored.
        assert listed(web, q="needle", status="x", since="y") == [failed, found]

    def test_filters_are_shown_and_kept_on_older_pages(self, web: httpx.Client) -> None:
        page = web.get("/web/predictions", params={"status": "failed", "q": '"><script>'})
        parsed = Parsed(page)
        assert "No prediction matches the filters." in parsed.text
        (search,) = [field for field in parsed.all("input") if field.get("name") == "q"]
        assert search["value"] == '"><script>'
        assert "status=failed" in parsed.by_id("rows")["data-rows"]

    def test_models_can_be_searched(self, web: httpx.Client) -> None:
        parsed = Parsed(web.get("/web/", params={"q": "markov"}))
        assert [c["href"] for c in parsed.all("a") if c.get("class") == "card"] == [
            "/web/models/dashscope/markov"
        ]


class TestResources:
    def test_deployments(self, web: httpx.Client, http: httpx.Client) -> None:
        version = http.get("/models/test/echo").json()["latest_version"]["id"]
        body = {
            "name": "page-deployment", "model": "test/echo", "version": version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 2,
        }  # fmt: skip
        assert http.post("/deployments", json=body).status_code == 200
        created = http.post(
            "/deployments/local/page-deployment/predictions", json={"input": {"value": 1}}
        ).json()
        assert "page-deployment" in Parsed(web.get("/web/deployments")).text
        page = Parsed(web.get("/web/deployments/page-deployment"))
        assert page.by_id(f"row-{created['id']}")
        assert web.get("/web/deployments/nope").status_code == 404
        # It has a playground like a model.
        path = "/web/deployments/page-deployment"
        assert page.by_id("form")["action"] == path
        assert 'client.deployments.predictions.create(\n        "local/page-dep' in page.text
        assert web.get(f"/web/deployments/nope?run={created['id']}").status_code == 404
        location = web.post(path, data={"input:value": '"from the form"'}).headers["location"]
        prediction = wait_for_status(
            http, {"urls": {"get": f"/predictions/{location[-26:]}"}}, "succeeded"
        )
        assert prediction["output"] == "from the form"
        assert location == f"{path}?run={prediction['id']}"
        page = Parsed(web.get(location))
        assert "from the form" in page.text
        assert page.by_id(f"row-{prediction['id']}")
        assert web.post(path, data={"input:value": "{"}).status_code == 422
        code = web.post(page.by_id("form")["data-code"], data={"input:value": "1"})
        assert "/deployments/local/page-deployment/predictions" in code.text

    def test_files(self, web: httpx.Client) -> None:
        files = {"file": ("<b>.txt", b"content", "text/plain")}
        stored = web.post("/web/upload", files=files).json()
        assert (stored["kind"], stored["name"]) == ("file", "<b>.txt")
        assert web.get(stored["preview"]).content == b"content"
        page = Parsed(web.get("/web/files"))
        assert "<b>.txt" in page.text
        file_id = stored["url"].rpartition("/")[2]
        assert web.post(f"/web/files/{file_id}/delete").headers["location"] == "/web/files"
        assert file_id not in web.get("/web/files").text
        assert web.post("/web/upload", data={"file": "no file"}).status_code == 400

    def test_collections_hardware_and_the_api(self, web: httpx.Client) -> None:
        assert "Streaming models" in Parsed(web.get("/web/collections")).text
        assert "CPU:" in Parsed(web.get("/web/hardware")).text
        assert web.get("/docs").headers["location"] == "/web/docs"
        page = Parsed(web.get("/web/docs"))
        for operation in ("predictions.create", "files.download", "QUERY"):
            assert operation in page.text
        schemas = [a["href"] for a in page.all("a") if "/docs/schemas/" in a["href"]]
        for path in set(schemas):
            assert web.get(path).status_code == 200
        assert web.get("/web/docs/schemas/nope").status_code == 404

    def test_tabs_of_a_model(self, web: httpx.Client, run: Run) -> None:
        path = "/web/models/dashscope/hello-world"
        prediction = run("dashscope/hello-world", text="x")
        for tab, message in (
            ("api", "Example response"), ("examples", "Alice"), ("versions", "latest"),
            ("runs", prediction["id"][:8]), ("readme", "Greets the name in text."),
        ):  # fmt: skip
            assert message in Parsed(web.get(f"{path}/{tab}")).text, tab
        shown = Parsed(web.get(f"{path}?run={prediction['id']}")).text
        assert "hello x" in shown
        for wrong in ("nope", run("test/pid")["id"]):
            assert web.get(f"{path}?run={wrong}").status_code == 404

    def test_trainings_list_files_by_name_and_their_new_version(
        self, web: httpx.Client, http: httpx.Client
    ) -> None:
        page = web.post(
            "/web/models/test/trainable/train",
            data={"destination": "local/listed"},
            files={"upload:text": ("my words.txt", b"hi", "text/plain")},
        ).headers["location"]
        seen = wait_for_status(http, {"urls": {"get": page.removeprefix("/web")}}, "succeeded")
        name, _, version = seen["output"]["version"].partition(":")
        links = [a["href"] for a in Parsed(web.get("/web/trainings")).all("a")]
        assert f"/web/models/{name}?version={version}" in links
        failed = web.post(
            "/web/models/test/trainable/train",
            data={"destination": "local/listed", "input:times": "-1"},
            files={"upload:text": ("other words.txt", b"\xff", "text/plain")},
        ).headers["location"]
        wait_for_status(http, {"urls": {"get": failed.removeprefix("/web")}}, "failed")


class TestWebhooks:
    def test_deliveries_show_payload_and_response_and_can_be_resent(
        self, web: httpx.Client, http: httpx.Client
    ) -> None:
        received: list[tuple[str, dict[str, Any]]] = []

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((self.headers["webhook-id"], json.loads(body)))
                self.send_response(202)
                self.end_headers()
                self.wfile.write(b"thanks <b>")

            def log_message(self, *_: object) -> None: ...

        receiver = HTTPServer(("127.0.0.1", 0), Receiver)
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{receiver.server_port}/hook"
            body = {
                "input": {"value": "<payload>"}, "webhook": url,
                "webhook_events_filter": ["completed"],
            }  # fmt: skip
            created = http.post("/models/test/echo/predictions", json=body).json()

            def delivery() -> str | None:
                page = Parsed(web.get(f"/web/predictions/{created['id']}"))
                links = [a["href"] for a in page.all("a") if "/webhooks/msg_" in a["href"]]
                return links[0] if links else None

            path = wait_until(delivery)
            assert path in web.get("/web/webhooks").text
            page = Parsed(web.get(path))
            for said in ("thanks <b>", "202", '"output": "<payload>"'):
                assert said in page.text
            [resend] = [f["action"] for f in page.all("form") if f["action"].endswith("/resend")]
            assert web.post(resend).headers["location"] == path
            wait_until(lambda: len(received) == 2)
            assert received[0] == received[1]
            assert received[0][1]["id"] == created["id"]
            wait_until(lambda: Parsed(web.get(path)).text.count("thanks <b>") == 2)
            assert web.post("/web/webhooks/msg_nope/resend").status_code == 404
            assert web.get("/web/webhooks/msg_nope").status_code == 404
        finally:
            receiver.shutdown()
            thread.join()
            receiver.server_close()
