"""File outputs of predictions from webhooks, lists and ids."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dashscope import AsyncFileOutput, DashscopeError, FileError, FileOutput, Training, webhooks
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

SECRET = "whsec_c2VjcmV0IG9mIG1pbmU="
DATA = "data:text/plain;base64," + base64.b64encode(b"inline").decode()


@pytest.fixture
def served(fake_server: FakeServer) -> dict[str, Any]:
    """A finished prediction with files in its output, which lists omit."""
    root = fake_server.base_url.removesuffix("/v1")
    output = {"text": "hi", "images": [f"{root}/a.png", {"mask": f"{root}/b.png"}], "data": DATA}
    whole = prediction("succeeded", output=output)

    def script(request: Received) -> Reply:
        if request.path == "/v1/predictions":
            items = [{name: value for name, value in whole.items() if name != "output"}]
            return reply({"results": items})
        if request.path == "/v1/predictions/p1":
            return reply(whole)
        return Reply(200, {"content-type": "image/png"}, request.path.encode())

    fake_server.respond_with(script)
    return whole


async def test_files_of_accepts_any_prediction(
    scripted_client: Any, fake_server: FakeServer, served: dict[str, Any], tmp_path: Path
) -> None:
    body = json.dumps(served).encode()
    received = webhooks.verify(body, webhooks.sign(body, SECRET), SECRET)
    expected = [served["output"]["images"][0], served["output"]["images"][1]["mask"], DATA]
    files = await scripted_client.files_of(received)
    assert files == expected
    assert fake_server.requests == []
    assert await files[0].read() == b"/a.png"
    assert (await files[2].save(tmp_path / "inline.txt")).read_bytes() == b"inline"

    (listed,) = await scripted_client.predictions.list()
    with pytest.raises(DashscopeError, match=r"predictions\.get\('p1'\)\.output"):
        _ = listed.output
    assert await scripted_client.files_of(listed) == expected
    assert await scripted_client.files_of("p1") == expected
    training = Training(id="t1", status="processing")
    assert await scripted_client.files_of(training) == []
    with pytest.raises(TypeError, match="prediction must be a Prediction or an id"):
        await scripted_client.files_of(served)


async def test_download_saves_a_url(
    scripted_client: Any, served: dict[str, Any], tmp_path: Path
) -> None:
    url = served["output"]["images"][0]
    path = await scripted_client.download(url, tmp_path)
    assert path == tmp_path / "a.png"
    assert path.read_bytes() == b"/a.png"
    with pytest.raises(FileError, match="already exists"):
        await scripted_client.download(url, path)
    assert await scripted_client.download(DATA, path, overwrite=True) == path
    assert path.read_bytes() == b"inline"
    for wrong, error in (("a.png", ValueError), ("ftp://x/y", ValueError), (path, TypeError)):
        with pytest.raises(error, match="url must be"):
            await scripted_client.download(wrong, tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


def test_a_file_output_without_a_client_names_the_methods_of_the_client() -> None:
    for cls in (AsyncFileOutput, FileOutput):
        with pytest.raises(TypeError, match=r"client\.files_of\(.*client\.download\(url, path\)"):
            cls("https://example.com/a.png")  # type: ignore[arg-type]
