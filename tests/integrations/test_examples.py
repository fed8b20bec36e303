"""The examples for web frameworks and Celery, started as a user would."""

from __future__ import annotations

import contextlib
import io
import json
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from PIL import Image

from dashscope import Client, webhooks
from dashscope.local import LocalServer
from tests.cli.process import Finished, Program
from tests.integrations.serving import events_of
from tests.waiting import wait_until

EXAMPLES = Path(__file__).parent / "examples"
SERVERS = {
    "fastapi": ("-m", "uvicorn", "fastapi_app:app", "--port"),
    "flask": ("-m", "flask", "--app", "flask_app", "run", "--port"),
    "django": ("django_app.py", "runserver", "--noreload"),
}


def free_port() -> str:
    """Return a port that no other process takes until an example has started.

    It is outside the range of ports that the system assigns.
    """
    for port in random.Random().sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return str(port)
    raise AssertionError("no port is free")


@pytest.fixture(
    scope="module", params=["fastapi", "django", pytest.param("flask", marks=pytest.mark.soak)]
)
def url(request: pytest.FixtureRequest, server: LocalServer) -> Iterator[str]:
    """Start an example and yield its address."""
    port = free_port()
    program = Program(
        *SERVERS[request.param], port, cwd=EXAMPLES, env={"DASHSCOPE_BASE_URL": server.base_url}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: responses(url))
        yield url
    finally:
        program.kill()
    assert "Traceback" not in program.output


def responses(url: str) -> bool:
    try:
        return httpx.get(f"{url}/finished").status_code == 200
    except httpx.TransportError:
        return False


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def test_running_a_model(url: str) -> None:
    response = httpx.post(f"{url}/greet", params={"name": "Ada & Bob"})
    assert (response.status_code, response.json()) == (200, "hello Ada & Bob")


def test_events_are_streamed(url: str) -> None:
    with httpx.stream("GET", f"{url}/countdown", params={"start": 2}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = "".join(response.iter_text())
    data = "".join(data if kind == "output" else json.loads(data)
                   for kind, data in events_of(text) if kind in ("output", "message"))  # fmt: skip
    assert data.split() == ["2", "1", "0"] or data == "210"


def test_disconnecting_from_a_stream_cancels_its_prediction(url: str, observer: Client) -> None:
    before = {created_prediction.id for created_prediction in observer.predictions.list()}
    with httpx.stream("GET", f"{url}/countdown", params={"start": 1000}) as response:
        parts = response.iter_bytes()  # the connection closes at the end
        next(parts)
        prediction = observer.predictions.list()[0]
        assert prediction.id not in before
        assert not prediction.is_done
    wait_until(lambda: observer.predictions.get(prediction).status == "canceled")


def test_serving_a_file(url: str) -> None:
    response = httpx.post(f"{url}/thumbnail", content=picture())
    assert response.headers["content-type"].startswith("image/")
    assert Image.open(io.BytesIO(response.content)).width == 64


def test_a_webhook_is_verified(url: str, observer: Client) -> None:
    id = httpx.post(f"{url}/start", params={"name": "Carol"}).json()
    wait_until(lambda: id in httpx.get(f"{url}/finished").json())
    body = b'{"id": "p1", "status": "succeeded"}'
    forged = webhooks.sign(body, "whsec_c2VjcmV0IG9mIG1pbmU=")
    response = httpx.post(f"{url}/hooks/dashscope", content=body, headers=forged)
    assert response.status_code == 401
    assert "p1" not in httpx.get(f"{url}/finished").json()


# Celery

Ask = Callable[..., Finished]

WORKER = ("worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING")

WARM = """
import os
import time

from celery_app import app, client

assert client.account.get().username == "local"  # a connection is open before the worker forks
app.conf.broker_transport_options["polling_interval"] = 0.1


@app.task
def greet(name):
    time.sleep(0.1)
    return os.getpid(), client.run("dashscope/hello-world", {"text": name})


@app.task(soft_time_limit=1)
def wait():
    client.run("test/forever", {})
"""
ASK = """
from celery.exceptions import SoftTimeLimitExceeded

from warm import greet, wait

results = [(str(number), greet.delay(str(number))) for number in range(10)]
pids = set()
for name, result in results:
    pid, output = result.get(timeout=60, interval=0.05)
    assert output == f"hello {name}", output
    pids.add(pid)
print(len(pids), "processes")
try:
    wait.delay().get(timeout=60, interval=0.05)
except SoftTimeLimitExceeded as error:
    print("too long")
"""


@pytest.fixture(scope="module")
def worker(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Start a worker of the example with more tasks. Yield a function that runs a program."""
    folder = tmp_path_factory.mktemp("celery")
    (folder / "warm.py").write_text(WARM)
    (folder / "ask.py").write_text(ASK)
    env = {
        "DASHSCOPE_BASE_URL": server.base_url,
        "CELERY_FOLDER": str(folder),
        "PYTHONPATH": f"{EXAMPLES}:{EXAMPLES.parents[2]}",
    }
    worker = Program("-m", "celery", "-A", "warm", *WORKER, cwd=folder, env=env)

    def ask(*program: str) -> Finished:
        done = Program(*program, cwd=folder, env=env).finish(within=90)
        return evolve(done, stderr=f"{done.stderr}The worker: {worker.output}")

    try:
        yield ask
    finally:
        worker.kill()
    assert {path.name for path in folder.iterdir()} <= {
        "warm.py",
        "ask.py",
        "__pycache__",
        "dashscope-celery",
    }  # the folder of the example is unchanged


@pytest.mark.soak
def test_a_celery_task_runs_a_model(worker: Ask) -> None:
    requested = worker(str(EXAMPLES / "celery_app.py"), "Alice", "Bob")
    assert (requested.code, requested.stdout) == (0, "hello Alice\nhello Bob\n"), requested.stderr


def test_one_client_serves_all_processes_of_a_worker(worker: Ask, observer: Client) -> None:
    """The client is created and used before the fork. A timeout cancels its prediction."""
    requested = worker("ask.py")
    assert (requested.code, requested.stdout) == (0, "2 processes\ntoo long\n"), requested.stderr
    waited = next(found for found in observer.predictions.list() if found.model == "test/forever")
    assert waited.status == "canceled"
