"""Inputs: downloaded files, numbers, and unknown names."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from dashscope.local import LocalServer
from tests.local.conftest import MODELS
from tests.variants import variants

Run = Callable[..., dict[str, Any]]


@contextlib.contextmanager
def responding(data: bytes) -> Iterator[str]:
    """Answer each request with the same bytes and close the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_truncated_input_file_fails_the_prediction(run: Run) -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    for headers in (
        b"Content-Length: 1000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
        # Only a part of the file, although all of it was requested.
        b"Content-Range: bytes 0-399/1000\r\nContent-Length: 400\r\n\r\n",
    ):
        status = head.replace(b"200", b"206") if b"Range" in headers else head
        with responding(status + headers + b"x" * 400) as url:
            failed = run("test/read", file=f"{url}/input.txt")
        assert failed["status"] == "failed"
        assert f"The file at {url}/input.txt is incomplete" in failed["error"]
    with responding(head + b"Content-Length: 400\r\n\r\n" + b"x" * 400) as url:
        assert run("test/read", file=f"{url}/input.txt")["status"] == "succeeded"


def test_an_input_file_has_the_extension_of_its_name_or_media_type(run: Run) -> None:
    text = base64.b64encode(b"text").decode()
    assert run("test/read", file=f"data:image/png;base64,{text}")["output"]["suffix"] == ".png"
    unknown = f"data:application/octet-stream;base64,{text}"
    assert run("test/read", file=unknown)["output"]["suffix"] == ""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/csv; charset=utf-8\r\n\r\n"
    with responding(head + b"text") as url:
        assert run("test/read", file=f"{url}/download?name=a.png")["output"]["suffix"] == ".csv"
        assert run("test/read", file=f"{url}/a.json?x=1")["output"]["suffix"] == ".json"
        moved = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {url}/b.mp3\r\n\r\n"
        with responding(moved.encode()) as other:
            assert run("test/read", file=f"{other}/latest")["output"]["suffix"] == ".mp3"
    named = b'Content-Disposition: attachment; filename="c.webp"\r\n\r\n'
    with responding(head.replace(b"\r\n\r\n", b"\r\n" + named) + b"text") as url:
        assert run("test/read", file=f"{url}/download")["output"]["suffix"] == ".webp"


def test_floats_without_a_fraction_are_integers(http: httpx.Client, run: Run) -> None:
    done = run("test/whole", count=7.0, sizes=[1, 2.0, 1e3], point={"x": 3.0, "y": 4.0})
    assert done["output"] == [7, [1, 2, 1000], 3]
    # Neither list is the first member of its union.
    done = run("test/whole", count=1, sizes={"a": 2.0}, point={"x": 3.0})
    assert done["output"] == [1, {"a": 2}, 3]
    done = run("test/whole", count=1, sizes=[[1.0], [2]])
    assert done["output"] == [1, [[1], [2]], None]
    for inputs in ({"count": 7.5}, {"count": "7"}, {"count": True}, {"count": 1, "sizes": [0.5]}):
        response = http.post("/models/test/whole/predictions", json={"input": inputs})
        assert response.status_code == 422, inputs


def test_unknown_names_are_ignored_with_a_warning_in_the_log(run: Run) -> None:
    done = run("test/echo", value=1, max_length=20)
    assert done["status"] == "succeeded"
    assert done["output"] == 1
    assert "WARNING: input.max_length is not an input of this model" in done["logs"]
    assert "Its inputs: value." in done["logs"]


def test_strict_inputs_reject_unknown_names() -> None:
    with LocalServer(models=MODELS, strict_inputs=True) as server:
        url = f"{server.base_url}/models/test/echo/predictions"
        response = httpx.post(url, json={"input": {"value": 1, "flavor": 1, "max_length": 20}})
        assert response.status_code == 422
        assert "input.flavor is not an input of this model" in response.json()["detail"]
        assert "input.max_length" in response.json()["detail"]
        assert httpx.post(url, json={"input": {"value": 1}}).status_code == 201


def test_the_fixtures_reject_unknown_names(dashscope_server: Any) -> None:
    @dashscope_server.model("me/echo")
    def echo(text: str) -> str:
        return text

    url = f"{dashscope_server.base_url}/models/me/echo/predictions"
    assert httpx.post(url, json={"input": {"text": "", "nope": 1}}).status_code == 422


@variants("site", ["http://localhost:5173", "https://evil.example", "null"])
def test_a_page_of_another_origin_cannot_create_a_prediction(http: httpx.Client, site: str) -> None:
    path = "/models/dashscope/hello-world/predictions"
    body = '{"input": {"text": "x"}}'
    headers = {"Origin": site, "Content-Type": "text/plain"}
    assert http.post(path, content=body, headers=headers).status_code == 403
    own = str(http.base_url).removesuffix("/v1/")
    assert http.post(path, content=body, headers={**headers, "Origin": own}).status_code == 201
