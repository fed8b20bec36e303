"""Files: uploads in every form, downloads, and files as inputs and outputs of models."""

import base64
import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import httpx
from PIL import Image

from dashscope.local import LocalServer, maintenance
from dashscope.local.http import middleware
from dashscope.local.store import folder
from tests.local.conftest import MODELS
from tests.variants import variants
from tests.waiting import wait_until

Run = Callable[..., dict[str, Any]]


def upload(
    http: httpx.Client, content: bytes = b"content", name: str = "a.txt", **options: Any
) -> dict[str, Any]:
    response = http.post("/files", files={"content": (name, content)}, **options)
    assert response.status_code == 201, response.text
    return response.json()


class TestUploading:
    def test_the_fields_of_a_file(self, http: httpx.Client) -> None:
        file = http.post("/files", files={"content": ("a.png", b"x" * 9, "image/png")}).json()
        assert file["name"] == "a.png"
        assert file["content_type"] == "image/png"
        assert file["size"] == 9
        assert file["checksums"] == {"sha256": hashlib.sha256(b"x" * 9).hexdigest()}
        assert file["metadata"] == {}
        assert file["etag"]
        created, expires = (
            datetime.fromisoformat(file[name]) for name in ("created_at", "expires_at")
        )
        assert abs(expires - created - timedelta(hours=24)) < timedelta(seconds=1)
        assert http.get(file["urls"]["get"]).json() == file

    def test_separate_fields_take_precedence(self, http: httpx.Client) -> None:
        file = upload(http, data={"filename": "b.csv", "type": "text/csv"})
        assert (file["name"], file["content_type"]) == ("b.csv", "text/csv")

    @variants(
        "fields",
        [
            [("metadata", (None, b'{"a": {"b": 1}}'))],
            [("metadata", (None, b'{"a": {"b": 1}}', "application/json"))],
            [("metadata", ("metadata.json", b'{"a": {"b": 1}}', "application/json"))],
        ],
    )
    @variants("before", [True, False])
    def test_metadata_as_json(self, http: httpx.Client, fields: list[Any], before: bool) -> None:
        content = ("content", ("a.txt", b"x"))
        parts = [*fields, content] if before else [content, *fields]
        response = http.post("/files", files=parts)
        assert response.status_code == 201, response.text
        assert response.json()["metadata"] == {"a": {"b": 1}}

    def test_metadata_as_fields(self, http: httpx.Client) -> None:
        fields = {
            "metadata[a]": "1",
            "metadata[n][m]": "2",
            "metadata[l][]": ["3", "4"],
        }
        assert upload(http, data=fields)["metadata"] == {"a": "1", "n": {"m": "2"}, "l": ["3", "4"]}

    @variants(
        "fields",
        [
            {"metadata": "{"},
            {"metadata": "[]"},
            {"metadata": "NaN"},
            {"metadata": "[" * 10_000},
            {"metadata[": "1"},
            {"metadata" + "[a]" * 17: "1"},
            {"metadata[a]": "1", "metadata[a][b]": "2"},
            {"metadata[a]": "1", "metadata[a][]": "2"},
            {"type": "nonsense"},
            {"type": "text/plain\r\nx-evil: 1"},
            {"filename": "x" * 256},
            {"filename": "a\u0000b"},
        ],
    )
    def test_invalid_fields_are_rejected(self, http: httpx.Client, fields: dict[str, str]) -> None:
        response = http.post("/files", files={"content": ("a", b"x")}, data=fields)
        assert response.status_code == 400, response.text
        assert response.headers["content-type"] == "application/problem+json"

    @variants(
        ("content_type", "body"),
        [
            ("application/json", b"{}"),
            ("multipart/form-data", b""),
            ("multipart/form-data; boundary=x", b""),
            ("multipart/form-data; boundary=x", b"--x\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
            ("application/x-www-form-urlencoded", b"content=x"),
        ],
    )
    def test_other_bodies_are_rejected(
        self, http: httpx.Client, content_type: str, body: bytes
    ) -> None:
        response = http.post("/files", content=body, headers={"Content-Type": content_type})
        assert response.status_code == 400, response.text

    @variants("name", ["../../etc/passwd", "/etc/passwd", "..", "a/b", "a\\b", "ü 😀"])
    def test_names_never_become_paths(
        self, http: httpx.Client, server: LocalServer, name: str
    ) -> None:
        file = upload(http, name=name)
        assert (server.data / "files" / file["id"]).read_bytes() == b"content"
        response = httpx.get(file["urls"]["download"])
        assert response.content == b"content"
        assert response.headers["content-disposition"].startswith("attachment")

    def test_a_too_large_file_is_rejected(self, http: httpx.Client, server: LocalServer) -> None:
        def endless() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
            for _ in range(12):
                yield bytes(1024 * 1024)

        before = set((server.data / "files").iterdir())
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        with mock.patch.object(middleware, "FORM_LIMIT", 10 * 1024 * 1024):
            response = http.post("/files", content=endless(), headers=headers)
            assert response.status_code == 413
            assert "100 MB" in response.json()["detail"]
        announced = (
            "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 106954752\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        url = httpx.URL(server.base_url)
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(announced.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        with mock.patch.object(folder, "FILE_LIMIT", 10):
            assert http.post("/files", files={"content": ("a", b"x" * 11)}).status_code == 413
        assert set((server.data / "files").iterdir()) == before

    def test_files_are_listed_newest_first_without_outputs(
        self, http: httpx.Client, run: Run
    ) -> None:
        first, second = upload(http), upload(http)
        run("test/image")
        page = http.get("/files").json()
        assert [item["id"] for item in page["results"][:2]] == [second["id"], first["id"]]

    def test_a_deleted_file_is_gone(self, http: httpx.Client, server: LocalServer) -> None:
        file = upload(http)
        response = http.delete(file["urls"]["get"])
        assert (response.status_code, response.content) == (204, b"")
        assert http.get(file["urls"]["get"]).status_code == 404
        assert http.delete(file["urls"]["get"]).status_code == 404
        assert httpx.get(file["urls"]["download"]).status_code == 404
        assert not (server.data / "files" / file["id"]).exists()


class TestDownloading:
    def test_a_download_has_type_name_and_etag(self, http: httpx.Client) -> None:
        file = http.post("/files", files={"content": ("a.png", b"0123456789", "image/png")}).json()
        response = httpx.get(file["urls"]["download"])
        assert response.content == b"0123456789"
        assert response.headers["content-type"] == "image/png"
        assert response.headers["etag"] == file["etag"]
        assert 'filename="a.png"' in response.headers["content-disposition"]
        assert httpx.head(file["urls"]["download"]).headers["content-length"] == "10"

    @variants(
        ("wanted", "status", "content"),
        [
            ("bytes=0-3", 206, b"0123"),
            ("bytes=4-", 206, b"456789"),
            ("bytes=-2", 206, b"89"),
            ("bytes=20-", 416, None),
            ("bytes=x", 400, None),
        ],
    )
    def test_range_requests(
        self, http: httpx.Client, wanted: str, status: int, content: bytes | None
    ) -> None:
        file = upload(http, b"0123456789")
        response = httpx.get(file["urls"]["download"], headers={"Range": wanted})
        assert response.status_code == status
        if content is not None:
            assert response.content == content

    def test_if_range_requires_the_same_content(self, http: httpx.Client) -> None:
        file = upload(http, b"0123456789")
        for tag, status in ((file["etag"], 206), ('"other"', 200)):
            headers = {"Range": "bytes=0-3", "If-Range": tag}
            assert httpx.get(file["urls"]["download"], headers=headers).status_code == status

    def test_if_none_match_returns_304(self, http: httpx.Client) -> None:
        file = upload(http)
        for tag in (file["etag"], f'"x", W/{file["etag"]}', "*"):
            response = httpx.get(file["urls"]["download"], headers={"If-None-Match": tag})
            assert (response.status_code, response.content) == (304, b"")

    def test_the_signature_follows_the_specification(self, http: httpx.Client) -> None:
        query = parse_qs(urlsplit(upload(http)["urls"]["download"]).query)
        assert query["owner"] == ["local"]
        assert len(base64.b64decode(query["signature"][0])) == 32

    @variants(
        ("change", "status"),
        [
            ({"signature": "x"}, 404),
            ({"signature": ""}, 404),
            ({"signature": "ü"}, 404),
            ({"owner": "other"}, 404),
            ({"expiry": "1"}, 404),
            ({"expiry": "99999999999"}, 404),
            ({"expiry": "soon"}, 400),
            ({"expiry": "9" * 99}, 400),
            ({"owner": None}, 400),
            ({"expiry": None}, 400),
            ({"signature": None}, 400),
        ],
    )
    def test_any_other_url_is_rejected(
        self, http: httpx.Client, change: dict[str, str | None], status: int
    ) -> None:
        url = httpx.URL(upload(http)["urls"]["download"])
        for name, value in change.items():
            url = url.copy_remove_param(name) if value is None else url.copy_set_param(name, value)
        assert httpx.get(url).status_code == status

    def test_a_download_needs_no_token(self) -> None:
        with LocalServer(token="secret") as server:
            response = httpx.post(
                f"{server.base_url}/files",
                files={"content": ("a", b"x")},
                headers={"Authorization": "Bearer secret"},
            )
            assert httpx.get(response.json()["urls"]["get"]).status_code == 401
            assert httpx.get(response.json()["urls"]["download"]).content == b"x"


class TestExpiring:
    def test_an_expired_file_is_gone_and_removed_later(self, tmp_path: Path) -> None:
        with (
            mock.patch.object(folder, "LIFETIME", timedelta(seconds=0.5)),
            mock.patch.object(maintenance, "INTERVAL", 0.1),
            LocalServer(models=MODELS, data=tmp_path) as server,
            httpx.Client(base_url=server.base_url) as http,
        ):
            file = upload(http)
            response = http.post(
                "/models/test/image/predictions", json={"input": {}}, headers={"Prefer": "wait"}
            )
            assert response.json()["data_removed"] is False
            wait_until(lambda: http.get(file["urls"]["get"]).status_code == 404)
            wait_until(lambda: not list((tmp_path / "files").iterdir()))
            prediction = http.get(response.json()["urls"]["get"]).json()
            assert prediction["data_removed"] is True
            assert prediction["output"] is None
            assert prediction["input"] == {}


class TestModelFiles:
    def test_an_upload_as_input(self, http: httpx.Client, run: Run) -> None:
        file = upload(http, b"hello", "notes.TXT")
        for url in (file["urls"]["get"], file["urls"]["download"]):
            output = run("test/read", file=url, others=[url, "data:,x"])["output"]
            assert output == {"text": "hello", "suffix": ".TXT", "others": ["hello", "x"]}

    def test_a_data_url_as_input(self, run: Run) -> None:
        url = "data:text/plain;base64," + base64.b64encode("ü".encode()).decode()
        assert run("test/read", file=url)["output"]["text"] == "ü"

    def test_a_url_of_another_server_as_input(self, http: httpx.Client, run: Run) -> None:
        with LocalServer() as other, httpx.Client(base_url=other.base_url) as there:
            url = upload(there, b"far away", "a.txt")["urls"]["download"]
            assert run("test/read", file=url)["output"]["text"] == "far away"
        failed = run("test/read", file=url)
        assert failed["status"] == "failed"
        assert "refused" in failed["error"]

    @variants("url", ["file:///etc/passwd", "/etc/passwd", "ftp://x/y", "", "http:"])
    def test_other_urls_are_rejected(self, http: httpx.Client, url: str) -> None:
        response = http.post("/models/test/read/predictions", json={"input": {"file": url}})
        assert response.status_code == 422
        assert "input.file" in response.json()["detail"]

    def test_a_missing_file_is_an_error(self, http: httpx.Client) -> None:
        url = f"{http.base_url}files/{'a' * 26}"
        response = http.post("/models/test/read/predictions", json={"input": {"file": url}})
        assert response.status_code == 422
        assert url in response.json()["detail"]

    def test_files_and_images_become_urls(self, http: httpx.Client, run: Run) -> None:
        output = run("test/files", text="made")["output"]
        for url in (output["file"], *output["list"]):
            assert url.startswith(f"{http.base_url}files/")
            assert httpx.get(url).text == "made"
        picture = httpx.get(run("test/image", width=7)["output"])
        assert picture.headers["content-type"] == "image/png"
        assert Image.open(BytesIO(picture.content)).size == (7, 2)

    def test_an_output_can_be_an_input(self, run: Run) -> None:
        made = run("test/image", width=200)["output"]
        small = run("dashscope/thumbnail", image=made, width=50)["output"]
        assert Image.open(BytesIO(httpx.get(small).content)).size == (50, 1)

    def test_the_thumbnail_keeps_proportions(self, http: httpx.Client, run: Run) -> None:
        picture = BytesIO()
        Image.effect_noise((300, 200), 50).save(picture, "JPEG")
        url = upload(http, picture.getvalue(), "p.jpg")["urls"]["get"]
        small = httpx.get(run("dashscope/thumbnail", image=url, width=60)["output"])
        assert Image.open(BytesIO(small.content)).size == (60, 40)
        assert len(small.content) < len(picture.getvalue())

    def test_an_invalid_image_fails_with_a_clear_error(self, run: Run) -> None:
        failed = run("dashscope/thumbnail", image="data:,nonsense")
        assert failed["status"] == "failed"
        assert "cannot identify image" in failed["error"]

    def test_too_large_json_numbers_are_rejected(self, http: httpx.Client) -> None:
        body = json.dumps({"input": {"value": 0}}).replace("0", "1e999")
        response = http.post("/models/test/echo/predictions", content=body)
        assert response.status_code == 400
