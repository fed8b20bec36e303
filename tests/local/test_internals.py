"""Internal failures of the server, and details of the machine."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from dashscope.local import LocalServer, model
from dashscope.local.jobs import runs, worker_pool
from dashscope.local.jobs.logs import LOG_LIMIT, Log
from dashscope.local.jobs.processes import LogReader, describe_exit
from dashscope.local.models.catalog import ModelsError
from dashscope.local.models.signature import read_docstring
from dashscope.local.worker import messages
from tests.local.conftest import MODELS
from tests.variants import variants
from tests.waiting import wait_for_status

Run = Callable[..., dict[str, Any]]


class TestDecorator:
    @variants(
        ("options", "message"),
        [
            ({"name": "noowner"}, "owner/name"),
            ({"name": "A/b"}, "owner/name"),
            ({"name": "a/b", "concurrency": 0}, "concurrency of a/b"),
            ({"name": "a/b", "memory": 0}, "memory of a/b"),
        ],
    )
    def test_errors_of_the_decorator(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            model(**options)

    def test_the_decorated_function_is_unchanged(self) -> None:
        @model("me/double")
        def double(number: int) -> int:
            return number * 2

        assert double(4) == 8

    def test_an_unpicklable_variable_is_named(self) -> None:
        import threading

        lock = threading.Lock()

        @model("me/locked")
        def locked() -> bool:
            return lock.locked()

        with (
            pytest.raises(ModelsError, match="me/locked cannot be sent to a worker"),
            LocalServer(models=[locked]),
        ):
            pass

    def test_docstring_styles(self) -> None:
        arguments = "Args:\n    a: One.\n    b (int): Two,\n        and on.\n"
        text = f"First line\nof two.\n\nMore.\n\n{arguments}"
        assert read_docstring(text) == (
            "First line of two.",
            {"a": "One.", "b": "Two, and on."},
        )
        assert read_docstring("") == (None, {})


class TestLog:
    def test_offsets_stay_valid_after_truncation(self) -> None:
        log = Log()
        for number in range(3000):
            log.append(f"{number:>1023}\n")
        assert log.end == 3000 * 1024
        assert log.since(log.end - 1024) == f"{2999:>1023}\n"
        assert log.since(log.end) == ""
        assert LOG_LIMIT <= len(log.since(0)) <= LOG_LIMIT + 1024
        assert log.text.startswith("[")

    @variants("size", [1, 2, 3, 5, 7, 100, 1000])
    def test_the_end_of_a_job_is_found_in_any_chunks(self, size: int) -> None:
        marker = messages.marker("0123456789abcdef")
        reader = LogReader(marker)
        heard: list[str] = []
        reader.sink = heard.append
        data = "a\0b ü\r 5%\r\n\0".encode() + marker + b"rest"
        for start in range(0, len(data), size):
            reader.data_received(data[start : start + size])
        reader.connection_lost(None)
        assert "".join(heard) == "a\0b ü\n 5%\n\0rest"

    def test_exit_descriptions(self) -> None:
        assert "code 3" in describe_exit(3)
        assert "SIGKILL" in describe_exit(-9)
        assert "memory" in describe_exit(-9)
        assert "memory" not in describe_exit(-11)


class TestInternalFailures:
    def test_an_output_beyond_the_limit_fails(self, http: httpx.Client, run: Run) -> None:
        with mock.patch.object(runs, "OUTPUT_LIMIT", 20):
            failed = run("test/parts", count=50)
        assert failed["status"] == "failed"
        assert "larger than the server accepts" in failed["error"]
        assert run("test/parts")["status"] == "succeeded"

    def test_a_message_beyond_the_limit_fails(self, run: Run) -> None:
        failed = run("test/huge")
        assert failed["status"] == "failed"
        assert "more than the" in failed["error"]

    def test_a_disk_error_fails_the_prediction(self, tmp_path: Path) -> None:
        with (
            LocalServer(models=MODELS, data=tmp_path) as server,
            httpx.Client(base_url=server.base_url, timeout=30) as http,
        ):
            shutil.rmtree(tmp_path / "jobs")
            body: dict[str, Any] = {"input": {}}
            path = "/models/test/echo/predictions"
            failed = http.post(path, json=body, headers={"Prefer": "wait"}).json()
            assert failed["status"] == "failed"
            assert "FileNotFoundError" in failed["error"]
            (tmp_path / "jobs").mkdir()
            ended = http.post(path, json=body, headers={"Prefer": "wait"}).json()
            assert ended["status"] == "succeeded"

    def test_a_process_that_cannot_start_fails_the_prediction(self) -> None:
        with LocalServer(models=MODELS) as server:

            def run(name: str) -> dict[str, Any]:
                url = f"{server.base_url}/models/test/{name}/predictions"
                return httpx.post(url, json={"input": {}}, headers={"Prefer": "wait"}).json()

            with mock.patch.object(worker_pool.Worker, "start", side_effect=OSError("none left")):
                # The first prediction uses the process that was started in advance.
                assert run("echo")["status"] == "succeeded"
                for name in ("pid", "logs"):
                    assert "could not be started" in run(name)["error"]
            run("parts")
            assert run("numbers")["status"] == "succeeded"

    def test_a_version_without_its_code_fails_with_a_clear_error(self, tmp_path: Path) -> None:
        body: dict[str, Any] = {"input": {"seconds": 60}}
        with LocalServer(models=MODELS, data=tmp_path) as server:
            made = [
                httpx.post(f"{server.base_url}/models/test/pid/predictions", json=body).json()
                for _ in range(5)
            ]
        shutil.rmtree(tmp_path / "code")
        with LocalServer(data=tmp_path) as server, httpx.Client(base_url=server.base_url) as http:
            response = http.post("/models/test/echo/predictions", json=body)
            assert response.status_code == 409
            assert "cannot be loaded" in response.json()["detail"]
            failed = http.get(f"/predictions/{made[-1]['id']}").json()
            assert failed["status"] == "failed"
            assert "cannot be loaded" in failed["error"]

    def test_an_exception_in_a_route_is_a_problem_response(self) -> None:
        with (
            LocalServer() as server,
            mock.patch("dashscope.local.http.routes.account.hardware", side_effect=KeyError("x")),
        ):
            response = httpx.get(f"{server.base_url}/hardware")
            assert response.status_code == 500
            assert response.headers["content-type"] == "application/problem+json"

    def test_a_training_without_its_destination_fails(self, http: httpx.Client) -> None:
        mine = {"owner": "local", "name": "gone", "visibility": "private", "hardware": "cpu"}
        http.post("/models", json=mine)
        version = http.get("/models/test/slow-train").json()["latest_version"]["id"]
        path = f"/models/test/slow-train/versions/{version}/trainings"
        training = http.post(path, json={"destination": "local/gone", "input": {}}).json()
        wait_for_status(http, training, "processing")
        assert http.delete("/models/local/gone").status_code == 204
        assert "local/gone" in wait_for_status(http, training, "failed")["error"]

    def test_deleting_a_version_deletes_its_files(self, tmp_path: Path) -> None:
        with (
            LocalServer(models=MODELS, data=tmp_path) as server,
            httpx.Client(base_url=server.base_url, timeout=30) as http,
        ):
            body = {"input": {}}
            path = "/models/test/private-image/predictions"
            made = http.post(path, json=body, headers={"Prefer": "wait"}).json()
            assert len(list((tmp_path / "files").iterdir())) == 1
            running = http.post(path, json={"input": {"seconds": 60}}).json()
            wait_for_status(http, running, "processing")
            deleted = http.delete(f"/models/test/private-image/versions/{made['version']}")
            assert deleted.status_code == 202
            assert list((tmp_path / "files").iterdir()) == []
            assert http.get(running["urls"]["get"]).status_code == 404


class TestLeftovers:
    def test_leftovers_of_a_killed_server_are_removed(self, tmp_path: Path) -> None:
        with LocalServer(data=tmp_path):
            pass
        (tmp_path / "jobs" / "old").mkdir()
        (tmp_path / "jobs" / "old" / "file").write_text("x")
        (tmp_path / "files" / "half.partial").write_text("x")
        with LocalServer(data=tmp_path):
            assert list((tmp_path / "jobs").iterdir()) == []
            assert list((tmp_path / "files").iterdir()) == []


class TestHardware:
    def test_gpus_are_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\necho 'NVIDIA A100, 40960 MiB'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        with LocalServer() as server:
            message = httpx.get(f"{server.base_url}/hardware").json()
        assert message[1] == {"sku": "gpu-0", "name": "GPU: NVIDIA A100, 40960 MiB"}
