"""The server as a whole: ``LocalServer`` in a block of code, ``serve`` in the foreground."""

import asyncio
import base64
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import platformdirs
import uvicorn

from dashscope.local.app import create_app
from dashscope.local.catalog import Catalog, ModelsError
from dashscope.local.engine import Engine
from dashscope.local.folder import DataFolder, Signer
from dashscope.local.gate import AnsweredRequest as AnsweredRequest
from dashscope.local.gate import is_loopback
from dashscope.local.ratelimit import RateLimit
from dashscope.local.references import References
from dashscope.local.render import Renderer
from dashscope.local.services import Services
from dashscope.local.store import Database, DataFolderError, Store
from dashscope.local.upkeep import keep_up
from dashscope.local.values import ORIGIN
from dashscope.local.webhooks import Webhooks

Models = Path | str | Iterable[Callable[..., Any]]

REQUESTS_KEPT: Final = 10_000
DEFAULT_PORT: Final = 3274
EXIT_CONFIGURATION: Final = 2
EXIT_DATA_IN_USE: Final = 3
EXIT_ADDRESS: Final = 4

logger = logging.getLogger("dashscope.local")


class LocalServer:
    """A server of the Dashscope API on this machine, for the length of a ``with`` block.

    It answers on a thread of its own and runs each model in processes of their own. Leaving the
    block ends all of them; what was still running is then recorded as failed.

    Args:
        models: Functions decorated with ``@model``, or the path of a file that defines some; the
            shipped models are there in any case.
        data: The folder that holds what has to last. By default a temporary one, removed at the
            end.
        host: The address to listen on; other than loopback only with a token.
        port: The port; 0 takes a free one.
        token: What requests have to carry; None lets in everyone on this machine.
        rate_limit: Answer 429 beyond so many requests: ``"10/s"``, ``"600/m"``.
        queue_limit: How many jobs may wait for one version before a create answers 429.
        drain: Seconds that running jobs get to end before the block is left.

    Raises:
        ModelsError: One of ``models`` cannot be a model.
        DataFolderError: Another server has the data folder.
        OSError: The address cannot be listened on.
        ValueError: An argument is not what it has to be.

    Example:
        >>> from dashscope.local import LocalServer, model
        >>> @model("me/shout")
        ... def shout(text: str) -> str:
        ...     return text.upper()
        >>> with LocalServer(models=[shout]) as server:
        ...     print(server.base_url.rsplit("/", 1)[1])
        v1
    """

    def __init__(
        self,
        models: Models | None = None,
        *,
        data: Path | str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        rate_limit: str | None = None,
        queue_limit: int = 10_000,
        drain: float = 0.0,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ValueError(
                f"Without a token the server listens on loopback addresses only, not on {host!r}."
            )
        if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
            raise ValueError("The token has to be visible ASCII characters.")
        if queue_limit < 1:
            raise ValueError(f"The queue limit has to be 1 or more, not {queue_limit}.")
        self._models = models
        self._data = data
        self._host = host
        self._port = port
        self._token = token
        self._rate_limit = RateLimit(rate_limit) if rate_limit is not None else None
        self._queue_limit = queue_limit
        self._drain = drain
        self._answered: deque[AnsweredRequest] = deque(maxlen=REQUESTS_KEPT)
        self._address = ""
        self._folder: DataFolder | None = None
        self._leave = contextlib.ExitStack()

    @property
    def base_url(self) -> str:
        """The base URL for clients: it ends in ``/v1``."""
        return f"{self._running_address()}/v1"

    @property
    def data(self) -> Path:
        """The data folder."""
        self._running_address()
        if self._folder is None:
            raise RuntimeError("The server has no data folder.")
        return self._folder.root

    @property
    def requests(self) -> list[AnsweredRequest]:
        """The requests answered so far, the last 10,000 of them."""
        return list(self._answered)

    def __enter__(self) -> Self:
        if self._address:
            raise RuntimeError("The server is running already.")
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._leave = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._address = ""
        self._leave.close()

    def _running_address(self) -> str:
        if not self._address:
            raise RuntimeError("The server runs only inside its `with` block.")
        return self._address

    def _start(self, stack: contextlib.ExitStack) -> None:
        listener = listen(self._host, self._port)
        stack.callback(listener.close)
        host = f"[{self._host}]" if ":" in self._host else self._host
        address = f"http://{host}:{listener.getsockname()[1]}"
        root = self._data
        if root is None:
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="dashscope-"))
        folder = DataFolder(Path(root).absolute())
        folder.create()
        parts = self._open(folder, address, stack)
        app = create_app(
            parts, token=self._token, rate_limit=self._rate_limit, answered=self._answered
        )
        stack.enter_context(running(app, parts, listener, self._drain))
        self._folder = folder
        self._address = address

    def _open(self, folder: DataFolder, address: str, stack: contextlib.ExitStack) -> Services:
        try:
            database = Database(folder.database)
        except DataFolderError as error:
            message = f"The data folder {folder.root} cannot be used: {error}"
            if error.in_use:
                message += f" ({folder.read_owner_note()})"
            raise DataFolderError(f"{message}.", in_use=error.in_use) from error
        stack.callback(database.close)
        folder.write_owner_note(address)
        stack.callback(folder.owner_note.unlink, missing_ok=True)
        store = Store(database)
        folder.sweep(store.files.known())
        signer = Signer(store.setting("signing_key", lambda: secrets.token_hex(32)).encode())
        catalog = Catalog(store, folder)
        catalog.register(self._models)
        references = References(store, folder, address)
        engine = Engine(store, catalog, folder, signer, references, self._queue_limit)
        renderer = Renderer(store, signer, address)
        secret = store.setting("webhook_secret", new_webhook_secret)
        webhooks = Webhooks(store, Renderer(store, signer, ORIGIN), renderer, secret)
        engine.listeners.append(webhooks.heard)
        return Services(
            store=store,
            catalog=catalog,
            engine=engine,
            folder=folder,
            signer=signer,
            references=references,
            renderer=renderer,
            webhooks=webhooks,
            webhook_secret=secret,
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY); without, each
    # waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


def new_webhook_secret() -> str:
    """Return a signing secret in the form of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class Thread:
    """The server's thread: its event loop, and in it uvicorn and the engine."""

    def __init__(self, app: Any, parts: Services, listener: socket.socket, drain: float) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
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
        """Start it, and return when requests are answered."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """End it, and return when nothing of it is left."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

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
        upkeep = asyncio.create_task(keep_up(self._parts))
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._listener]))
        while not (self._uvicorn.started or serving.done()):  # noqa: ASYNC110
            # Two turns of the loop; uvicorn has no event for it.
            await asyncio.sleep(0)
        self._ready.set()
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        await engine.drain(self._drain)
        self._uvicorn.should_exit = True
        # Together: requests that wait for a job are answered when the engine lets go of it.
        await asyncio.gather(serving, engine.stop())
        await self._parts.webhooks.stop()
        for task in (stopping, upkeep):
            task.cancel()
        await asyncio.gather(stopping, upkeep, return_exceptions=True)


@contextlib.contextmanager
def running(app: Any, parts: Services, listener: socket.socket, drain: float) -> Generator[None]:
    """Serve an application on a thread for the length of the block."""
    thread = Thread(app, parts, listener, drain)
    thread.start()
    try:
        yield
    finally:
        thread.stop()


def serve(
    models: Path | str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    data: Path | str | None = None,
    token: str | None = None,
    rate_limit: str | None = None,
    drain: float = 10.0,
) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; a second one ends it without draining.

    Args:
        models: The path of a file that defines models with ``@model``.
        host: The address to listen on; other than loopback only with a token.
        port: The port; 0 takes a free one.
        data: The data folder; by default the platform's place for it.
        token: What requests have to carry; ``DASHSCOPE_LOCAL_TOKEN`` by default.
        rate_limit: Answer 429 beyond so many requests: ``"10/s"``, ``"600/m"``.
        drain: Seconds that running jobs get to end.

    Returns:
        The exit code: 0 after a signal, 2 where an argument or the models are wrong, 3 where
        another server has the data folder, 4 where the address cannot be listened on.
    """
    folder = Path(data) if data is not None else platformdirs.user_data_path("dashscope", False)
    try:
        server = LocalServer(
            models,
            data=folder,
            host=host,
            port=port,
            token=token or os.environ.get("DASHSCOPE_LOCAL_TOKEN") or None,
            rate_limit=rate_limit,
            drain=drain,
        )
        with log_to_stderr(), stop_signal() as stop, server:
            sys.stdout.write(f"Ready at {server.base_url}, data in {server.data}\n")
            sys.stdout.flush()
            stop.wait()
            logger.info("stopping: running jobs have %g s to end", drain)
    except (ValueError, ModelsError) as error:
        return complain(error, EXIT_CONFIGURATION)
    except DataFolderError as error:
        return complain(error, EXIT_DATA_IN_USE)
    except OSError as error:
        return complain(f"Cannot listen on {host}:{port}: {error.strerror}.", EXIT_ADDRESS)
    return 0


def complain(error: object, code: int) -> int:
    """Say why the server does not run, and return the exit code for it."""
    sys.stderr.write(f"dashscope serve: {error}\n")
    return code


@contextlib.contextmanager
def log_to_stderr() -> Generator[None]:
    """Write one line per request and event to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextlib.contextmanager
def stop_signal() -> Generator[threading.Event]:
    """Yield what the first SIGTERM or SIGINT sets; the second one ends the process."""
    stop = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def take(number: int, frame: FrameType | None) -> None:
        for one, old in before.items():
            signal.signal(one, old)
        stop.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        before[one] = signal.signal(one, take)
    try:
        yield stop
    finally:
        for one, old in before.items():
            signal.signal(one, old)
