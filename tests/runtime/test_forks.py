"""A forked child works like its parent, whatever the parent's threads were doing."""

from __future__ import annotations

import os

import pytest

from tests.runtime.conftest import Script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

EVERYTHING = """
from pathlib import Path

def everything():
    client = Client(base_url=URL)
    assert client.run("owner/short", {}) == "done"
    assert client.run("owner/polls-2", {"file": b"x"}, poll_interval=0.01) == "done"
    with client.stream("owner/short", {}) as stream:
        assert "".join(map(str, stream)) == "a b "
    created = client.predictions.create(version="owner/polls-2", input={})
    client.wait(created, poll_interval=0.01)
    client.account.get()

async def everything_async():
    client = AsyncClient(base_url=URL)
    assert await client.run("owner/short", {}) == "done"
    assert await client.run("owner/polls-2", {"file": b"x"}, poll_interval=0.01) == "done"
    async with client.stream("owner/short", {}) as stream:
        assert "".join([str(event) async for event in stream]) == "a b "
    created = await client.predictions.create(version="owner/polls-2", input={})
    await client.wait(created, poll_interval=0.01)
    await client.account.get()
    await client.aclose()
"""


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("Client", "everything()"),
        ("AsyncClient", "asyncio.run(everything_async())"),
        pytest.param(
            *("AsyncClient", "import trio; trio.run(everything_async)"), marks=pytest.mark.soak
        ),
    ],
    ids=["sync", "asyncio", "trio"],
)
def test_calls_after_a_fork_import_nothing(script: Script, kind: str, call: str) -> None:
    """Modules that are loaded on first use are imported before, because imports take a lock."""
    done = script(
        EVERYTHING
        + f"""
import trio
client = {kind}(base_url=URL)

def child():
    before = set(sys.modules)
    {call}
    loaded = sorted(set(sys.modules) - before)
    assert not loaded, loaded

reap(fork(child))
"""
    )
    assert done.code == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("dashscope._predictions.watch", "sync"),
        ("dashscope._predictions.operations", "asyncio"),
        pytest.param("dashscope._predictions.watch", "asyncio", marks=pytest.mark.soak),
        pytest.param("dashscope._predictions.operations", "sync", marks=pytest.mark.soak),
    ],
)
def test_a_fork_waits_for_an_import_in_another_thread(
    script: Script, module: str, kind: str
) -> None:
    calls = {
        "sync": 'assert client.run("owner/polls-1", {}) == "done"',
        "asyncio": 'assert asyncio.run(client.run("owner/polls-1", {})) == "done"',
    }
    done = script(
        f"""
        loading = threading.Event()

        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "{module}":
                    loading.set()
                    time.sleep(0.5)

        sys.meta_path.insert(0, Slow())
        client = {"Client" if kind == "sync" else "AsyncClient"}(base_url=URL)

        def run():
            {calls[kind]}

        thread = threading.Thread(target=run)
        thread.start()
        loading.wait()
        pid = fork(run)
        thread.join()
        reap(pid)
        print("done")
        """
    )
    assert (done.code, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_workers_of_a_preloaded_server(script: Script, kind: str) -> None:
    """Like gunicorn: the parent creates a client and sends a request, and three children use it."""
    done = script(
        f"""
        client = {"Client" if kind == "sync" else "AsyncClient"}(base_url=URL)

        async def main():
            for _ in range(2):
                assert await client.run("owner/polls-1", {{}}) == "done"

        def use():
            if "{kind}" == "asyncio":
                asyncio.run(main())
                return
            for _ in range(2):
                assert client.run("owner/polls-1", {{}}) == "done"

        use()
        pids = [fork(use) for _ in range(3)]
        use()
        reap(*pids)
        use()
        print("done")
        """
    )
    assert (done.code, done.stderr, done.stdout) == (0, "", "done\n")


@pytest.mark.parametrize(
    "method",
    [
        "fork",
        pytest.param("forkserver", marks=pytest.mark.soak),
        pytest.param("spawn", marks=pytest.mark.soak),
    ],
)
def test_multiprocessing(script: Script, method: str) -> None:
    done = script(
        f"""
        import multiprocessing

        client = Client(base_url=URL)

        def work(number):
            return client.run("owner/polls-1", {{"number": number}})

        if __name__ == "__main__":
            client.account.get()
            with multiprocessing.get_context("{method}").Pool(3) as pool:
                assert pool.map(work, range(6)) == ["done"] * 6
                pool.close()
                pool.join()
            client.account.get()
            print("done")
        """
    )
    assert (done.code, done.stderr, done.stdout) == (0, "", "done\n")


def test_a_fork_during_json_decoding_keeps_garbage_collection(script: Script) -> None:
    done = script(
        """
        import json
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        body = json.dumps({"username": "a", "rows": [[n] for n in range(30_000)]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        decoded = 0
        gc.unfreeze()  # what the fork server had frozen

        def decode():
            global decoded
            with Client(base_url=url) as client:
                while True:
                    client.account.get()
                    decoded += 1

        threading.Thread(target=decode, daemon=True).start()
        while decoded < 2:
            time.sleep(0.001)

        def child():
            assert gc.isenabled()
            assert gc.get_freeze_count() == 0

        pids = []
        for _ in range(8):
            pids.append(fork(child))
            time.sleep(0.002)
        reap(*pids)
        assert gc.isenabled()
        print("done", flush=True)
        os._exit(0)
        """
    )
    assert done.output == "done\n"


def test_a_fork_while_creating_a_tls_context(script: Script) -> None:
    """The context has a lock, which the child must not inherit."""
    done = script(
        """
        import ssl
        from dashscope import APIConnectionError
        making = threading.Event()
        make = ssl.create_default_context

        def slow(*args, **kwargs):
            making.set()
            time.sleep(0.5)
            return make(*args, **kwargs)

        ssl.create_default_context = slow
        client = Client("token", base_url="https://127.0.0.1:9/v1", max_retries=0)

        def use():
            try:
                client.account.get()
            except APIConnectionError:
                pass

        thread = threading.Thread(target=use)
        thread.start()
        making.wait()
        pid = fork(use)
        thread.join()
        reap(pid)
        print("done")
        """
    )
    assert (done.code, done.stdout) == (0, "done\n"), done.stderr
