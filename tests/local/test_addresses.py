"""The addresses at which the server is reached, and the URLs it hands out."""

import json
from pathlib import Path

import httpx

from dashscope.local import LocalServer
from tests.local.conftest import MODELS
from tests.local.test_webhooks import Receiver
from tests.local.waiting import reach, until


def test_urls_start_with_the_host_of_the_request(tmp_path: Path) -> None:
    receiver = Receiver()
    with LocalServer(models=MODELS, data=tmp_path) as server:
        other = server.base_url.replace("127.0.0.1", "localhost").removesuffix("/v1")
        with httpx.Client(base_url=f"{other}/v1/", timeout=30) as http:
            body = {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
            created = http.post("models/test/image/predictions", json=body).json()
            finished = reach(http, created, "succeeded")
            assert finished["urls"]["get"].startswith(f"{other}/v1/")
            assert finished["output"].startswith(f"{other}/v1/files/")
            assert httpx.get(finished["output"]).status_code == 200
            until(lambda: receiver.received)
            assert receiver.received[0].json == finished
            elsewhere = httpx.get(f"{server.base_url}/predictions/{created['id']}").json()
            assert elsewhere["output"].startswith(server.base_url)
            assert http.get("predictions").json()["results"][0]["urls"] == finished["urls"]
            page = httpx.get(f"{other}/web/predictions/{created['id']}").text
            assert f"base_url=&#39;{other}/v1&#39;" in page
    receiver.close()


def test_own_files_are_recognized_at_every_address_handed_out(tmp_path: Path) -> None:
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


def test_the_unspecified_address_is_never_handed_out(tmp_path: Path) -> None:
    with LocalServer(host="0.0.0.0", token="secret", data=tmp_path) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        headers = {"Authorization": "Bearer secret", "Host": "0.0.0.0:1234"}
        answer = httpx.get(f"{server.base_url}/models", headers=headers)
        assert "0.0.0.0" not in json.dumps(answer.json())
        assert "http://127.0.0.1:1234/v1/models/" in answer.text
