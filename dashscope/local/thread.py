"""The thread that runs the server's event loop, with uvicorn and the engine."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import uvicorn

from dashscope.local.http.services import Services
from dashscope.local.maintenance import reload_models, run_maintenance

T = TypeVar("T")


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio set TCP_NODELAY. Without it, small responses wait 40 ms
    # for the client's acknowledgment.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


class Thread:
    """The thread of a server. Its event loop runs uvicorn and the engine."""

    def __init__(self, app: Any, parts: Services, listener: socket.socket, drain: float) -> None:
        config = uvicorn.Config(
            # uvicorn calls the application without arguments to find out whether it is a factory.
            # A decorated coroutine function (by beartype's import hook) does not refuse that.
            lambda scope, receive, send: app(scope, receive, send),
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # The middleware decides which proxies it trusts. uvicorn would trust this machine.
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        self._parts = parts
        self._listener = listener
        self._drain = drain
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="dashscope-local", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def start(self) -> None:
        """Start the thread. Return once the server answers requests."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop the server. Return once everything it started has stopped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function on the server's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(function(), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        engine = self._parts.engine
        self._parts.webhooks.start()
        engine.recover()
        background = [
            asyncio.create_task(run_maintenance(self._parts)),
            asyncio.create_task(reload_models(self._parts)),
        ]
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._listener]))
        while not (self._uvicorn.started or serving.done()):  # noqa: ASYNC110
            # This takes two iterations of the loop. uvicorn has no event to wait for.
            await asyncio.sleep(0)
        self._ready.set()
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        await engine.drain(self._drain)
        self._uvicorn.should_exit = True
        self._parts.feed.close()
        # Stop both together: requests that wait for a job finish once the engine stops the job.
        await asyncio.gather(serving, engine.stop())
        await self._parts.webhooks.stop()
        for task in (stopping, *background):
            task.cancel()
        await asyncio.gather(stopping, *background, return_exceptions=True)


@contextlib.contextmanager
def running(app: Any, parts: Services, listener: socket.socket, drain: float) -> Generator[Thread]:
    """Serve an application on a thread until the block exits."""
    thread = Thread(app, parts, listener, drain)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
