"""Real processes and signals: what survives a crash, and how the next start recovers."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dashscope.local import LocalServer, serve
from tests.cli.process import Finished, Program
from tests.local.conftest import MODELS
from tests.waiting import wait_for_status, wait_until

SERVE = (
    "import sys; from dashscope.local import serve; "
    "sys.exit(serve(sys.argv[1] or None, port=int(sys.argv[2]), data=sys.argv[3], "
    "drain=float(sys.argv[4])))"
)


class Server:
    """A server and its predictions, as an HTTP client sees them."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=30)

    def create(self, name: str, *, held: bool = False, **inputs: Any) -> dict[str, Any]:
        headers = {"Prefer": "wait"} if held else {}
        response = self.http.post(
            f"/models/{name}/predictions", json={"input": inputs}, headers=headers
        )
        assert response.status_code == 201, response.text
        return response.json()

    def get(self, prediction: dict[str, Any]) -> dict[str, Any]:
        return self.http.get(f"/predictions/{prediction['id']}").json()


class Process(Server):
    """`serve` in a separate process."""

    def __init__(self, data: Path, *, drain: float = 0.0, port: int = 0) -> None:
        self.data = data
        arguments = (MODELS, str(port), data, str(drain))
        self.program = Program("-c", SERVE, *arguments, cwd=data.parent, forked=True)
        super().__init__(self.program.wait_for_stdout(r"Ready at (\S+), data in .+\n")[1])

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.program.pid).children(recursive=True)

    def end(self, number: int = signal.SIGKILL) -> Finished:
        self.program.send(signal.Signals(number))
        self.http.close()
        return self.program.finish()


@contextlib.contextmanager
def serving(data: Path, **options: Any) -> Iterator[Process]:
    process = Process(data, **options)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def restarted(data: Path) -> Iterator[Server]:
    """Start the next server of a data folder, in this process."""
    with LocalServer(models=MODELS, data=data) as running:
        server = Server(running.base_url)
        with server.http:
            yield server


def test_after_kill_9_finished_queued_and_running_predictions_are_recovered(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        finished = server.create("test/parts", held=True)
        image = server.create("test/image", held=True)
        running = [server.create("test/pid", seconds=60) for _ in range(4)]
        for prediction in running:
            wait_for_status(server.http, prediction, "processing")
        queued = server.create("test/echo", value="still wanted")
        blocked = server.create("test/pid", seconds=60)
        wait_for_status(server.http, queued, "succeeded")
        server.end()
    with restarted(tmp_path) as server:
        again = server.get(finished)
        for name in ("output", "logs", "status", "started_at", "completed_at", "metrics"):
            assert again[name] == finished[name]
        picture = httpx.get(server.get(image)["output"])
        assert picture.headers["content-type"] == "image/png"
        for prediction in running:
            failed = server.get(prediction)
            assert failed["status"] == "failed"
            assert "The server stopped while this job was running" in failed["error"]
        wait_until(lambda: server.get(blocked)["status"] == "processing")
        assert server.get(queued)["output"] == "still wanted"


@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_kill_9_at_any_moment_loses_no_acknowledged_write(tmp_path: Path, rounds: int) -> None:
    acknowledged: list[dict[str, Any]] = []
    for round_ in range(rounds):
        with serving(tmp_path) as server:
            timer = threading.Timer(0.03 + 0.05 * round_, server.program.kill)
            before = len(acknowledged)
            with contextlib.suppress(httpx.TransportError):
                while True:
                    acknowledged.append(server.create("test/echo", value=len(acknowledged)))
                    if len(acknowledged) == before + 20:
                        timer.start()
            timer.join()
            server.end()
    with restarted(tmp_path) as server:
        for number, prediction in enumerate(acknowledged):
            seen = server.get(prediction)
            assert seen["input"] == {"value": number}
        wait_until(
            lambda: all(
                server.get(prediction)["status"] in {"succeeded", "failed"}
                for prediction in acknowledged
            ),
            timeout=60,
        )
        page = server.http.get("/predictions").json()
        seen = [item["id"] for item in page["results"]]
        while page["next"]:
            page = server.http.get(page["next"]).json()
            seen += [item["id"] for item in page["results"]]
        assert {prediction["id"] for prediction in acknowledged} <= set(seen)


@pytest.mark.parametrize(
    "name",
    [
        "test/spins",
        pytest.param("test/sleep", marks=pytest.mark.soak),
        pytest.param("test/holds", marks=pytest.mark.soak),
    ],
)
def test_workers_exit_when_the_server_is_killed(tmp_path: Path, name: str) -> None:
    with serving(tmp_path) as server:
        wait_for_status(server.http, server.create(name), "processing")
        forked = int(server.create("test/forks", held=True, wait=60)["output"].split()[-1])
        children = [*server.children(), psutil.Process(forked)]
        assert len(children) >= 3
        server.end()
        wait_until(lambda: not any(map(alive, children)))


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_kill_9_of_a_worker_fails_its_prediction_and_no_other(tmp_path: Path) -> None:
    release = tmp_path / "release"
    with serving(tmp_path / "data") as server:
        others = [server.create("test/released", file=str(release), count=1) for _ in range(2)]
        for prediction in others:
            wait_for_status(server.http, prediction, "processing")
        killed = server.create("test/pid", seconds=60)
        os.kill(int(wait_until(lambda: server.get(killed)["logs"].strip())), signal.SIGKILL)
        assert "SIGKILL" in wait_for_status(server.http, killed, "failed")["error"]
        release.write_text("1")
        for prediction in others:
            wait_for_status(server.http, prediction, "succeeded")


def test_sigterm_waits_for_running_predictions(tmp_path: Path) -> None:
    data, release = tmp_path / "data", tmp_path / "release"
    with serving(data, drain=60.0) as server:
        prediction = server.create("test/released", file=str(release), count=1)
        wait_for_status(server.http, prediction, "processing")
        server.program.send(signal.SIGTERM)
        server.program.wait_for_stderr("stopping")
        release.write_text("1")
        assert server.program.finish().code == 0
    with restarted(data) as server:
        assert server.get(prediction)["output"] == ["0 "]


def test_sigterm_waits_for_a_limited_time(tmp_path: Path) -> None:
    with serving(tmp_path, drain=0.1) as server:
        prediction = server.create("test/sleep", seconds=60)
        wait_for_status(server.http, prediction, "processing")
        ended = server.end(signal.SIGTERM)
        assert ended.code == 0
        assert "Traceback" not in ended.stderr
    with restarted(tmp_path) as server:
        failed = server.get(prediction)
        assert failed["status"] == "failed"
        assert "The server stopped" in failed["error"]


def test_creates_are_rejected_while_draining(tmp_path: Path) -> None:
    with serving(tmp_path, drain=30.0) as server:
        prediction = server.create("test/sleep", seconds=60)
        wait_for_status(server.http, prediction, "processing")
        server.program.send(signal.SIGTERM)

        def refused() -> httpx.Response | None:
            response = server.http.post("/models/test/echo/predictions", json={"input": {}})
            return None if response.status_code == 201 else response

        response = wait_until(refused)
        assert response is not None
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert response.headers["x-should-retry"] == "true"
        assert server.get(prediction)["status"] == "processing"
        assert server.end(signal.SIGTERM).code in {0, -signal.SIGTERM}


ELSEWHERE = """
import signal, sys, threading, time
from dashscope.local import serve

def stop():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        time.sleep(0.01)
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=stop).start()
sys.exit(serve(port=0, data=sys.argv[1]))
"""


def test_a_signal_in_another_thread_stops_the_server(
    tmp_path: Path,
) -> None:
    done = Program("-c", ELSEWHERE, tmp_path / "data", cwd=tmp_path, forked=True).finish()
    assert (done.code, "stopping" in done.stderr) == (0, True)


def test_each_request_is_logged_and_ctrl_c_is_no_error(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.http.get("/account?secret=1")
        ended = server.end(signal.SIGINT)
        assert ended.code == 0
        assert "Traceback" not in ended.stderr
        [line] = [line for line in ended.stderr.splitlines() if "/v1/account" in line]
        assert re.search(r"INFO GET '/v1/account' 200 \d+\.\d ms [a-z2-7]{26}$", line)


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    assert serve(bad, port=0, data=tmp_path / "a") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "ZeroDivisionError" in message
    with LocalServer(data=tmp_path / "b") as server:
        origin = server.base_url.removesuffix("/v1")
        assert serve(port=0, data=tmp_path / "b") == 3
        assert f"process {os.getpid()} at {origin}" in capsys.readouterr().err
        assert serve(port=int(origin.rpartition(":")[2]), data=tmp_path / "c") == 4
        assert "Address already in use" in capsys.readouterr().err


@pytest.mark.soak  # start-up time is not guaranteed on a busy machine
def test_ready_in_under_a_second(tmp_path: Path) -> None:
    took = []
    for _ in range(3):
        started = time.monotonic()
        with serving(tmp_path):
            took.append(time.monotonic() - started)
    assert min(took) < 1.5, took
