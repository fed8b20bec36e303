"""The server as a whole: errors, limits, authorization and shutdown."""

import contextlib
import os
import socket
import sqlite3
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
import pytest

from dashscope.local import LocalServer, model
from dashscope.local.http import requests
from dashscope.local.http.ratelimit import RateLimit
from dashscope.local.models.catalog import ModelsError
from dashscope.local.store import DataFolderError
from tests.cli.process import Program
from tests.local.conftest import MODELS
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until

Run = Callable[..., dict[str, Any]]


class TestErrors:
    @variants(
        ("method", "path", "status"),
        [
            ("GET", "/nope", 404),
            ("GET", "/predictions/", 404),
            ("GET", "/predictions/x", 404),
            ("GET", "/predictions/..%2F..%2Fetc", 404),
            ("GET", "/predictions/a%2Fb", 404),
            ("GET", "/predictions/%00", 404),
            ("GET", "/predictions/%ff", 404),
            ("GET", "/models/%2e%2e/account", 404),
            ("GET", "/models/%00/%00", 404),
            ("GET", "/files/..", 404),
            ("GET", "/files/%2e%2e%2fdashscope.db", 404),
            ("GET", "/trainings/x", 404),
            ("GET", "/deployments/local/x", 404),
            ("POST", "/predictions/x/cancel", 404),
            ("PUT", "/predictions", 405),
            ("DELETE", "/account", 405),
            ("QUERY", "/files", 405),
        ],
    )
    def test_errors_are_problem_documents(
        self, http: httpx.Client, method: str, path: str, status: int
    ) -> None:
        request = http.build_request(method, "/x")
        raw = httpx.URL(str(http.base_url)).copy_with(raw_path=f"/v1{path}".encode())
        request.url = raw
        response = http.send(request)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]

    @variants(
        "body",
        [
            b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"input": NaN}',
            b'{"input": {"text": "\\ud800"}}', b'{"a":' * 100_000, b"[" * 1_000_000,
            b'{"input": ' + b"9" * 5000 + b"}", "\ufeff{}".encode(), b"{'input': 1}",
        ],
    )  # fmt: skip
    def test_a_body_that_is_not_a_json_object_is_400(self, http: httpx.Client, body: bytes) -> None:
        for path in ("/models/dashscope/hello-world/predictions", "/models", "/deployments"):
            response = http.post(path, content=body, headers={"Content-Type": "application/json"})
            assert response.status_code == 400, response.text

    def test_a_body_that_is_too_large_is_413(self, http: httpx.Client) -> None:
        path = "/models/dashscope/hello-world/predictions"
        assert requests.BODY_LIMIT == 32 * 1024 * 1024
        with mock.patch.object(requests, "BODY_LIMIT", 1000):
            body = b'{"input": {"text": "%s"}}'
            assert http.post(path, content=body % (b"x" * 900)).status_code == 201
            assert http.post(path, content=body % (b"x" * 1000)).status_code == 413

    def test_every_response_has_a_request_id(self, http: httpx.Client) -> None:
        responses = [http.get("/account"), http.get("/nope"), http.post("/models", content=b"x")]
        assert len({response.headers["x-request-id"] for response in responses}) == 3

    def test_a_trailing_slash_is_not_redirected(self, http: httpx.Client) -> None:
        assert httpx.get(f"{http.base_url}predictions/").status_code == 404


@pytest.fixture(scope="module")
def locked() -> Iterator[LocalServer]:
    with LocalServer(token="secret") as server:
        yield server


class TestAuthorization:
    @variants("scheme", ["Bearer", "bearer", "Token"])
    def test_requests_with_the_token_are_accepted(self, locked: LocalServer, scheme: str) -> None:
        headers = {"Authorization": f"{scheme} secret"}
        assert httpx.get(f"{locked.base_url}/account", headers=headers).status_code == 200

    @variants(
        "value", [None, b"", b"Bearer", b"Bearer wrong", b"Basic secret", b"secret",
                  "Bearer sécret".encode()]
    )  # fmt: skip
    def test_requests_without_the_token_are_rejected(
        self, locked: LocalServer, value: bytes | None
    ) -> None:
        headers = {} if value is None else {b"Authorization": value}
        for path in ("/account", "/nope", "/files/x"):
            response = httpx.get(f"{locked.base_url}{path}", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"

    def test_health_needs_no_token(self, locked: LocalServer) -> None:
        assert httpx.get(locked.base_url.replace("/v1", "/health")).json() == {"status": "ok"}

    def test_without_a_token_only_loopback_is_allowed(self) -> None:
        with pytest.raises(ValueError, match="without a token"):
            LocalServer(host="0.0.0.0")

    @variants(
        ("headers", "status"),
        [
            ({"Host": "evil.example"}, 403),
            ({"Host": "127.0.0.1.evil.example"}, 403),
            ({"Host": "[::1"}, 400),
            ({"Host": "evil.example@localhost"}, 400),
            ({"Host": "localhost/x?y"}, 400),
            ({"Host": "localhost:x"}, 400),
            ({"Host": "localhost:1"}, 200),
            ({"Host": "[::1]:80"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://localhost:5173"}, 200),
        ],
    )
    def test_without_a_token_other_origins_are_rejected(
        self, http: httpx.Client, headers: dict[str, str], status: int
    ) -> None:
        assert http.get("/account", headers=headers).status_code == status

    def test_listens_on_ipv6(self) -> None:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        try:
            with LocalServer(host="::1") as server:
                assert httpx.get(f"{server.base_url}/account").status_code == 200
        except OSError:
            pytest.skip("no IPv6 here")


class TestLimits:
    def test_the_rate_limit_sends_retry_after(self) -> None:
        with LocalServer(rate_limit="3/m") as server:
            responses = [httpx.get(f"{server.base_url}/account") for _ in range(4)]
            assert [response.status_code for response in responses] == [200, 200, 200, 429]
            wait = responses[3].json()["retry_after"]
            assert 15 <= wait <= 20
            assert responses[3].headers["retry-after"] == str(wait)
            assert f"~{wait}s" in responses[3].json()["detail"]
            assert httpx.get(server.base_url.replace("/v1", "/health")).status_code == 200

    def test_the_rate_limit_refills(self) -> None:
        limit = RateLimit("60/m")
        assert [limit.take(0.0) for _ in range(61)] == [None] * 60 + [1]
        assert limit.take(1.0) is None
        assert limit.take(1.5) == 1
        assert [RateLimit("1/h").take(at) for at in (0, 0)] == [None, None]

    @variants("rate", ["", "0", "0/s", "x", "1/d", "-1", "1.5"])
    def test_invalid_rates_are_rejected(self, rate: str) -> None:
        with pytest.raises(ValueError, match="A rate limit has the form"):
            LocalServer(rate_limit=rate)

    def test_a_full_queue_sends_retry_after(self) -> None:
        with LocalServer(models=MODELS, queue_limit=2) as server:
            url = f"{server.base_url}/models/test/pid/predictions"
            body = {"input": {"seconds": 60}}
            responses = [httpx.post(url, json=body) for _ in range(8)]
            assert [response.status_code for response in responses] == [201] * 6 + [429] * 2
            assert responses[-1].headers["retry-after"] == "1"
            assert responses[-1].json()["retry_after"] == 1
            httpx.post(responses[5].json()["urls"]["cancel"])
            assert httpx.post(url, json=body).status_code == 201

    def test_logs_keep_their_end(self, run: Run) -> None:
        logs = run("test/floods", megabytes=3)["logs"]
        assert len(logs) < 1.1 * 1024 * 1024
        assert logs.endswith("the last line\n")
        assert "earlier characters of this log were dropped" in logs[:100]


class TestModels:
    def test_local_functions_with_closures(self) -> None:
        factor = 3

        @model("local/times")
        def times(number: int) -> int:
            return number * factor

        with LocalServer(models=[times]) as server:
            response = httpx.post(
                f"{server.base_url}/models/local/times/predictions",
                json={"input": {"number": 5}},
                headers={"Prefer": "wait"},
            )
            assert response.json()["output"] == 15

    def test_an_edit_creates_a_version_and_the_old_one_still_runs(self, tmp_path: Path) -> None:
        file = tmp_path / "models.py"
        outputs = []
        versions = []
        for word in ("one", "two"):
            file.write_text(
                "from dashscope.local import model\n"
                "@model('me/word')\n"
                f"def word() -> str:\n    return {word!r}\n"
            )
            with LocalServer(models=file, data=tmp_path / "data") as server:
                url = f"{server.base_url}/models/me/word"
                versions.append(httpx.get(url).json()["latest_version"]["id"])
                for version in versions:
                    response = httpx.post(
                        f"{server.base_url}/predictions",
                        json={"version": version, "input": {}},
                        headers={"Prefer": "wait"},
                    )
                    outputs.append(response.json()["output"])
                listed = httpx.get(f"{url}/versions").json()["results"]
                assert [item["id"] for item in listed] == versions[::-1]
        assert outputs == ["one", "one", "two"]

    def test_the_same_function_is_the_same_version(self, tmp_path: Path) -> None:
        versions = []
        for _ in range(2):
            with LocalServer(models=MODELS, data=tmp_path) as server:
                response = httpx.get(f"{server.base_url}/models/test/echo")
                versions.append(response.json()["latest_version"]["id"])
        assert versions[0] == versions[1]

    @variants(
        ("text", "message"),
        [
            ("1 / 0", "ZeroDivisionError"),
            ("syntax error", "SyntaxError"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("x = 1", "defines no model"),
            ("import nonexistent_module", "nonexistent_module"),
            (
                "from dashscope.local import model\n@model('a/b')\ndef f(*args): ...",
                "must be named parameters",
            ),
            (
                "from dashscope.local import model\n@model('a/b')\ndef f(x: 'Nope'): ...",
                "Nope",
            ),
            (
                (
                    "from dashscope.local import model\n@model('a/b')\ndef f(x: object): ...\n"
                    "class C: ...\n@model('a/c')\ndef g(x: C): ..."
                ),
                "a/c",
            ),
            ("from dashscope.local import model\n@model('Not a name')\ndef f(): ...", "Not a name"),
        ],
    )
    def test_an_invalid_models_file_is_an_error(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        file = tmp_path / "models.py"
        file.write_text(text)
        with pytest.raises(ModelsError, match=message), LocalServer(models=file):
            pass

    def test_an_invalid_model_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelsError, match="Decorate it"), LocalServer(models=[print]):
            pass
        with pytest.raises(ModelsError, match="cannot be read"), LocalServer(tmp_path / "none.py"):
            pass

    def test_a_model_that_does_not_load_in_its_worker_fails_its_predictions(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "models.py"
        file.write_text(
            "import sys\nfrom dashscope.local import model\n"
            "if 'worker' in sys.argv[0]: raise RuntimeError('not here')\n"
            "@model('me/never')\ndef never() -> str: return ''\n"
        )
        with LocalServer(models=file) as server:
            response = httpx.post(
                f"{server.base_url}/models/me/never/predictions",
                json={"input": {}},
                headers={"Prefer": "wait"},
            )
            assert response.json()["status"] == "failed"
            assert "RuntimeError: not here" in response.json()["error"]


class TestCrashes:
    @variants(
        ("how", "message"),
        [("exit", "exited with code 3"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV"),
         ("sys.exit", "left")],
    )  # fmt: skip
    def test_a_crash_fails_only_its_prediction(
        self, http: httpx.Client, create: Run, run: Run, how: str, message: str
    ) -> None:
        other = create("test/ends", how="", after_parts=3)
        failed = run("test/ends", how=how, after_parts=2)
        assert failed["status"] == "failed"
        assert message in failed["error"]
        assert failed["output"] == ["0", "1"]
        assert wait_for_status(http, other, "succeeded")["output"][-1] == "still here"
        assert run("test/ends", how="")["status"] == "succeeded"

    def test_exhausted_memory_fails_the_prediction(self, run: Run) -> None:
        failed = run("test/memory")
        assert failed["status"] == "failed"
        assert "MemoryError" in failed["error"]
        assert run("test/memory")["status"] == "failed"

    def test_a_forked_model_reports_once(self, run: Run) -> None:
        for _ in range(3):
            assert run("test/forks")["output"].startswith("parent of")

    def test_child_processes_of_a_model_end_with_it(self, http: httpx.Client, create: Run) -> None:
        sleeping = create("test/sleep")
        wait_for_status(http, sleeping, "processing")
        before = {process.pid for process in psutil.Process().children(recursive=True)}
        output = run_to_end(http, "test/forks", wait=60)
        child = int(output.split()[-1])
        assert psutil.pid_exists(child)
        http.post(sleeping["urls"]["cancel"])
        assert before


def run_to_end(http: httpx.Client, name: str, **inputs: Any) -> str:
    response = http.post(
        f"/models/{name}/predictions", json={"input": inputs}, headers={"Prefer": "wait"}
    )
    return response.json()["output"]


COUNTING = """
import gc, sys, threading, time, warnings
from unittest import mock

warnings.simplefilter("error")
import httpx, psutil
from dashscope.local import LocalServer, maintenance
from dashscope.local.jobs import engine

process = psutil.Process()

def counts():
    gc.collect()
    return process.num_fds(), threading.active_count(), len(process.children(recursive=True))

def create(server, name, hold=False, **inputs):
    answer = client.post(
        f"{server.base_url}/models/{name}/predictions",
        json={"input": inputs},
        headers={"Prefer": "wait"} if hold else {},
    )
    assert answer.status_code in (201, 202), answer.text
    return answer.json()

client = httpx.Client(timeout=30)
with LocalServer(models=sys.argv[1]) as server:
    create(server, "test/echo", hold=True)
client.close()
before = counts()
client = httpx.Client(timeout=30)
"""
LEAVING = {
    "of a server that was busy": """
        with LocalServer(models=sys.argv[1]) as server:
            data = server.data
            create(server, "test/sleep")
            create(server, "test/forks", wait=60, hold=True)
            create(server, "test/echo", hold=True)
            spins = create(server, "test/spins")
            while client.get(spins["urls"]["get"]).json()["status"] != "processing":
                time.sleep(0.01)
        client.close()
        after = counts()
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
        assert not data.exists()
        try:
            server.base_url
        except RuntimeError as error:
            assert "only inside its `with` block" in str(error)
        else:
            raise AssertionError
    """,
    "of a block that raises": """
        client = httpx.Client(timeout=30)
        try:
            with LocalServer():
                raise KeyError
        except KeyError:
            pass
        client.close()
        after = counts()
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    """,
    "of workers that are no longer needed": """
        client = httpx.Client(timeout=30)
        with (
            mock.patch.object(engine, "IDLE_LIMIT", 0.2),
            mock.patch.object(maintenance, "INTERVAL", 0.1),
            LocalServer(models=sys.argv[1]) as server,
        ):
            assert create(server, "test/echo", hold=True)["status"] == "succeeded"
            end = time.monotonic() + 30
            while len(process.children()) > 1:  # the next one is always there
                assert time.monotonic() < end, process.children()
                time.sleep(0.01)
        client.close()
    """,
}


class TestShutdown:
    """Run in a separate process, because this process has other servers with workers."""

    def test_nothing_is_left_running(self, tmp_path: Path) -> None:
        source = COUNTING + "".join(map(textwrap.dedent, LEAVING.values()))
        done = Program("-c", source, MODELS, cwd=tmp_path, forked=True).finish()
        assert (done.code, done.stderr) == (0, "")

    def test_a_failed_start_leaves_nothing_running(self) -> None:
        with LocalServer() as server:
            port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
            with pytest.raises(OSError, match="in use"), LocalServer(port=port):
                pass

    def test_requests_are_recorded(self, http: httpx.Client) -> None:
        with LocalServer() as server:
            httpx.get(f"{server.base_url}/account?x=1")
            httpx.post(f"{server.base_url}/predictions/x/cancel")
            assert server.requests == [
                ("GET", "/v1/account", 200),
                ("POST", "/v1/predictions/x/cancel", 404),
            ]

    def test_a_disconnect_has_no_effect_on_others(
        self, http: httpx.Client, server: LocalServer
    ) -> None:
        host, port = httpx.URL(server.base_url).host, httpx.URL(server.base_url).port
        head = (
            "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\npart'
        )
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head.encode())
            time.sleep(0.1)
        wait_until(lambda: ("POST", "/v1/files", 499) in server.requests)
        body = '{"input": {"seconds": 1}}'
        head = (
            "POST /v1/models/test/sleep/predictions HTTP/1.1\r\nHost: localhost\r\n"
            f"Prefer: wait\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head.encode())
            time.sleep(0.1)
        newest = http.get("/predictions").json()["results"][0]
        assert wait_for_status(http, newest, "succeeded")["output"] == "slept"


class TestDataFolder:
    def test_a_second_server_is_rejected_with_the_first_named(self, tmp_path: Path) -> None:
        with LocalServer(data=tmp_path) as first:
            address = first.base_url.removesuffix("/v1")
            with pytest.raises(DataFolderError, match=f"process {os.getpid()} at {address}"):
                LocalServer(data=tmp_path).__enter__()
            assert httpx.get(f"{first.base_url}/account").status_code == 200
        with LocalServer(data=tmp_path):
            pass

    def test_a_newer_schema_is_rejected(self, tmp_path: Path) -> None:
        with LocalServer(data=tmp_path):
            pass
        with contextlib.closing(sqlite3.connect(tmp_path / "dashscope.db")) as database:
            database.execute("PRAGMA user_version = 999")
        with pytest.raises(DataFolderError, match="newer version"):
            LocalServer(data=tmp_path).__enter__()

    def test_an_invalid_database_is_rejected(self, tmp_path: Path) -> None:
        (tmp_path / "dashscope.db").write_bytes(b"something else" * 1000)
        with pytest.raises(DataFolderError, match="is not a database"):
            LocalServer(data=tmp_path).__enter__()
