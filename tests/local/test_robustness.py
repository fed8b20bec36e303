"""Failures that the server survives: full disks, locked folders, hanging workers."""

import contextlib
import os
import signal
import stat
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
import pytest

from dashscope.local import LocalServer, foreground, model
from dashscope.local.http import requests
from dashscope.local.jobs import engine, launching, worker_pool
from dashscope.local.store import DataFolderError
from dashscope.local.worker import lifeline
from tests.local.conftest import MODELS
from tests.local.test_durability import serving as serving_process
from tests.waiting import wait_for_status, wait_until

FILE = "data:text/plain,content"
LONG = "x" * 100_000
CONCURRENCY = 2
"""Number of predictions of `test/stays` that run at the same time."""


@contextlib.contextmanager
def serving(tmp_path: Path, **options: Any) -> Iterator[tuple[LocalServer, httpx.Client]]:
    with (
        LocalServer(models=MODELS, data=tmp_path / "data", **options) as server,
        httpx.Client(base_url=server.base_url, timeout=30) as http,
    ):
        yield server, http


def create(http: httpx.Client, name: str, **inputs: Any) -> dict[str, Any]:
    response = http.post(f"/models/{name}/predictions", json={"input": inputs})
    assert response.status_code == 201, response.text
    return response.json()


def finish(http: httpx.Client, name: str, **inputs: Any) -> dict[str, Any]:
    prediction = create(http, name, **inputs)
    return wait_for_status(http, prediction, "succeeded", "failed", "canceled")


@contextlib.contextmanager
def full_disk(server: LocalServer) -> Iterator[None]:
    """Make SQLite report a full disk for every write that needs another page."""

    def limit(pages: int) -> None:
        async def execute() -> None:
            parts.store.database.execute(f"PRAGMA max_page_count = {pages}")

        thread.call(execute)

    assert server._running is not None
    parts, thread = server._running
    limit(1)
    yield
    limit(1_000_000)


def test_a_job_folder_that_cannot_be_deleted_does_not_block_the_model(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, http):
        with mock.patch.object(Path, "rmdir", side_effect=OSError("in use")):
            for _ in range(CONCURRENCY):
                assert finish(http, "test/stays", file=FILE)["output"] == "done"
        for how in ("deep", "link", "file", "closed"):
            for _ in range(CONCURRENCY):
                assert finish(http, "test/stays", file=FILE, how=how)["output"] == "done"
        assert finish(http, "test/stays", file=FILE, how="file")["output"] == "done"
        jobs = server.data / "jobs"
        assert list(jobs.iterdir())
    other = jobs.with_name("files") / "lost+found"
    other.mkdir()
    with serving(tmp_path):
        assert not list(jobs.iterdir())
        assert other.exists()


class TestAFullDisk:
    def test_predictions_end_once_there_is_space_again(self, tmp_path: Path) -> None:
        with mock.patch.object(engine, "RECORD_RETRY", 0.05), serving(tmp_path) as (server, http):
            running = create(http, "test/parts", count=1000)
            hanging = create(http, "test/sleep")
            wait_for_status(http, hanging, "processing")
            with full_disk(server):
                wait_until(lambda: http.get(running["urls"]["get"]).json()["status"] != "starting")
                refused = http.post(
                    "/models/test/echo/predictions", json={"input": {"value": LONG}}
                )
                assert refused.status_code == 507
                assert "disk of the server is full" in refused.json()["detail"]
                hanging["output"] = http.post(hanging["urls"]["cancel"]).json()
                assert http.get("/account").status_code == 200
            assert wait_for_status(http, hanging, "canceled")
            ended = wait_for_status(http, running, "failed", "succeeded")
            assert ended["completed_at"]
            assert finish(http, "test/echo", value=LONG)["output"] == LONG

    def test_the_block_exits_without_an_exception(self, tmp_path: Path) -> None:
        with serving(tmp_path) as (server, http):
            wait_for_status(http, create(http, "test/sleep", seconds=60), "processing")
            assert server._running is not None
            parts, thread = server._running

            async def fill() -> None:
                parts.store.database.execute("PRAGMA query_only = ON")

            thread.call(fill)
        with serving(tmp_path) as (_, http):
            [interrupted] = http.get("/predictions").json()["results"]
            assert interrupted["status"] == "failed"
            assert "The server stopped" in interrupted["error"]


def test_a_job_without_a_run_can_be_canceled(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, http):
        prediction = create(http, "test/sleep")
        wait_for_status(http, prediction, "processing")
        assert server._running is not None
        parts, thread = server._running

        async def lose() -> None:
            del parts.engine._runs[prediction["id"]]

        thread.call(lose)
        assert http.post(prediction["urls"]["cancel"]).json()["status"] == "canceled"


def test_a_worker_that_hangs_while_loading_releases_its_slot(tmp_path: Path) -> None:
    file, hang = tmp_path / "models.py", tmp_path / "hang"
    file.write_text(
        textwrap.dedent(f"""
        import pathlib, sys, time
        from dashscope.local import model
        hang = pathlib.Path({str(hang)!r})
        if "worker" in sys.argv[0] and hang.exists():
            hang.unlink()
            time.sleep(1000)
        @model("me/hangs", concurrency=1)
        def hangs() -> str:
            return "done"
        """)
    )

    def create_hanging(**headers: str) -> dict[str, Any]:
        hang.touch()
        path = "/models/me/hangs/predictions"
        prediction = http.post(path, json={"input": {}}, headers=headers).json()
        wait_until(lambda: not hang.exists())
        return prediction

    with LocalServer(file) as server, httpx.Client(base_url=server.base_url, timeout=30) as http:
        canceled = create_hanging()
        assert http.post(canceled["urls"]["cancel"]).json()["status"] == "canceled"
        with mock.patch.object(requests, "MIN_DEADLINE", timedelta(0)):
            assert wait_for_status(http, create_hanging(**{"Cancel-After": "1s"}), "aborted")
        assert finish(http, "me/hangs")["output"] == "done"


def test_an_existing_data_folder_becomes_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    with serving(tmp_path):
        pass
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with serving(tmp_path) as (_, http):
        create(http, "test/echo")
        for path in (data, data / "files", data / "code", *data.glob("dashscope.db*")):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    (shared / "notes.txt").write_text("")
    with LocalServer(data=shared):
        # The existing folder with other files is unchanged.
        assert stat.S_IMODE(shared.stat().st_mode) == 0o755
        assert not stat.S_IMODE((shared / "dashscope.db").stat().st_mode) & 0o077


def test_linked_and_duplicate_output_files_can_be_downloaded(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, http):
        for how in ("twice", "linked", "link", "odd"):
            done = finish(http, "test/named", file=FILE, how=how)
            assert done["status"] == "succeeded", done["error"]
            assert {httpx.get(url).text for url in done["output"]} == {"content"}
        done = finish(http, "test/rewritten", file=FILE)
        assert [httpx.get(url).text for url in done["output"]] == [
            "frame 0", "frame 1", "frame 2",
        ]  # fmt: skip


def test_a_data_folder_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for data in (file, file / "below"):
        with pytest.raises(DataFolderError, match="cannot be used"):
            LocalServer(data=data).__enter__()
        assert foreground.serve(port=0, data=data) == foreground.EXIT_DATA_IN_USE
        message = capsys.readouterr().err
        assert f"The data folder {data} cannot be used" in message
        assert "listen" not in message


def test_the_log_is_live_and_complete_without_pythonunbuffered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with serving(tmp_path) as (_, http):
        running = create(http, "test/pid", seconds=60)
        pid = wait_until(lambda: http.get(running["urls"]["get"]).json()["logs"])
        os.kill(int(pid), signal.SIGKILL)
        ended = wait_for_status(http, running, "failed")
        assert ended["logs"] == pid
        assert finish(http, "test/pid")["logs"].strip().isdecimal()


def test_lists_omit_long_inputs_and_outputs(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, http):
        long = finish(http, "test/echo", value=LONG)
        running = create(http, "test/pauses", size=20_000)
        wait_until(lambda: http.get(running["urls"]["get"]).json()["output"])
        short = finish(http, "test/echo", value="x" * 1000)
        first, second, third = http.get("/predictions").json()["results"]
        assert first["output"] == short["output"]
        assert first["input"] == {"value": short["output"]}
        assert "output" not in second
        assert second["input"] == {"size": 20_000}
        assert {"input", "output"}.isdisjoint(third)
        assert http.get(third["urls"]["get"]).json()["output"] == LONG
        assert long["input"] == {"value": LONG}


def test_an_error_is_short_and_can_be_stored(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, http):
        for how, error in (("surrogate", "a?b"), ("unprintable", "UnprintableError")):
            failed = finish(http, "test/fails-oddly", how=how)
            assert (failed["status"], failed["error"]) == ("failed", error)
        failed = finish(http, "test/fails-oddly", how="long")
        assert failed["error"].endswith("x… (3000000 characters)")
        assert len(http.get("/predictions").content) < 20_000


def test_without_process_groups_workers_are_ended_individually(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("killpg", "getpgrp", "setsid", "waitid", "pidfd_open"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(lifeline, "SUPERVISED", False)

    @model("test/worker")
    def worker(seconds: float = 0.0, code: int | None = None) -> int:
        import os
        import time

        time.sleep(seconds)
        if code is not None:
            os._exit(code)
        return os.getpid()

    with LocalServer([worker]) as server, httpx.Client(base_url=server.base_url) as http:
        prediction = create(http, "test/worker", seconds=60)
        wait_for_status(http, prediction, "processing")
        assert http.post(prediction["urls"]["cancel"]).json()["status"] == "canceled"
        ended = create(http, "test/worker", code=3)
        assert "exited with code 3" in wait_for_status(http, ended, "failed")["error"]
        pid = finish(http, "test/worker")["output"]
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("how", ["cancel", pytest.param("exit", marks=pytest.mark.soak), "kill"])
def test_a_child_process_in_its_own_session_ends_with_its_worker_and_server(
    tmp_path: Path, how: str
) -> None:
    pids = tmp_path / "pids"
    with serving_process(tmp_path / "data") as process:
        prediction = process.create("test/daemons", file=str(pids), seconds=60)
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        if how == "cancel":
            process.http.post(prediction["urls"]["cancel"])
        else:
            process.end(signal.SIGTERM if how == "exit" else signal.SIGKILL)
        for pid in map(int, pids.read_text().split()):
            wait_until(lambda pid=pid: not psutil.pid_exists(pid))


@pytest.mark.skipif(not lifeline.SUPERVISED, reason="workers are forks on Linux only")
def test_predictions_run_after_the_fork_server_was_killed(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with (
        mock.patch.object(worker_pool, "make_launcher", launching.ForkServer),
        serving(tmp_path) as (_, http),
    ):
        [fork_server] = set(psutil.Process().children()) - before
        running = create(http, "test/pid", seconds=0.5)
        wait_for_status(http, running, "processing")
        # Kill the fork server before it reads these requests.
        fork_server.suspend()
        others = [create(http, "test/pid", seconds=0.1) for _ in range(3)]
        for _ in range(3):
            http.get("/account")
        fork_server.kill()
        others.append(create(http, "test/pid"))
        ended = [wait_for_status(http, item, "succeeded", "failed") for item in (running, *others)]
        assert [item["status"] for item in ended] == ["succeeded"] * 5
    assert set(psutil.Process().children()) <= before
