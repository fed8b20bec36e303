"""``LocalServer``: starts the parts of the server and stops them when its block exits."""

import base64
import contextlib
import logging
import secrets
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dashscope.local.http.address import (
    Address,
    Network,
    Reachability,
    is_loopback,
    parse_networks,
    reachable,
)
from dashscope.local.http.app import create_app
from dashscope.local.http.middleware import AnsweredRequest
from dashscope.local.http.ratelimit import RateLimit
from dashscope.local.http.render import Renderer
from dashscope.local.http.services import Services
from dashscope.local.jobs.change_feed import ChangeFeed
from dashscope.local.jobs.engine import Engine
from dashscope.local.jobs.webhooks import Webhooks
from dashscope.local.models.catalog import Catalog, is_shipped
from dashscope.local.models.references import References
from dashscope.local.models.source_files import ModelsFile
from dashscope.local.pages.app import create_pages
from dashscope.local.store import Database, DataFolderError, Store
from dashscope.local.store.folder import DataFolder, Signer
from dashscope.local.thread import Thread, listen, running
from dashscope.local.values import ORIGIN, Version

Models = Path | str | Iterable[Callable[..., Any]]

logger = logging.getLogger("dashscope.local")

MAX_KEPT_REQUESTS: Final = 10_000


class LocalServer:
    """A local server for the Dashscope API. It runs inside a ``with`` block.

    The server answers requests on its own thread and runs each model in separate processes.
    Exiting the block stops all of them. Jobs that are still running are recorded as failed.

    Args:
        models: Functions decorated with ``@model``, or the path of a file that defines models. The
            shipped models are always available.
        data: The folder for the database and files. Defaults to a temporary folder that is
            deleted when the block exits.
        host: The address to listen on. Addresses other than loopback require a token.
        port: The port. 0 selects a free port.
        token: The token that requests must carry. Defaults to None, which accepts all requests
            from this machine.
        rate_limit: Return 429 above this rate of requests, such as ``"10/s"`` or ``"600/m"``.
        queue_limit: The maximum number of queued jobs per version. Above it, a create returns 429.
        drain: Seconds to wait for running jobs before the block exits.
        strict_inputs: Reject inputs with unknown names. Defaults to false: unknown names are
            ignored with a warning in the log of the prediction, as in the hosted service.
        public_url: The address at which clients reach the server, such as
            ``"https://example.com/models"``, if it is behind a reverse proxy. All URLs in
            responses start with it. Defaults to the address to which a request was sent.
        trusted_proxies: Addresses and networks of reverse proxies, such as ``"10.0.0.0/8"``. The
            headers ``X-Forwarded-Proto``, ``X-Forwarded-Host`` and ``X-Forwarded-Prefix`` of their
            requests contain the address to which a request was sent. Defaults to none.
        reload: Load the models again when their file, or a module in its folder, is edited. If
            that fails, the pages show the error, and the models from before the edit keep running.
            Requires ``models`` to be a path.

    Raises:
        ModelsError: One of ``models`` cannot be used as a model.
        DataFolderError: The data folder cannot be used, for example because another server uses it.
        OSError: The server cannot listen on the address.
        ValueError: An argument is invalid.

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
        strict_inputs: bool = False,
        public_url: str | None = None,
        trusted_proxies: str | Iterable[str] = (),
        reload: bool = False,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ValueError(
                f"The server cannot listen on {host!r} without a token. Set a token, or use a "
                f"loopback address such as 127.0.0.1."
            )
        if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
            raise ValueError("The token must consist of printable ASCII characters.")
        if queue_limit < 1:
            raise ValueError(f"queue_limit must be at least 1, not {queue_limit}.")
        if reload and not isinstance(models, (str, Path)):
            raise ValueError("Only a models file can be reloaded. Pass its path as models.")
        self._models = models
        self._reload = reload
        self._data = data
        self._host = host
        self._port = port
        self._token = token
        self._rate_limit = RateLimit(rate_limit) if rate_limit is not None else None
        self._queue_limit = queue_limit
        self._drain = drain
        self._strict_inputs = strict_inputs
        self._public = read_public_url(public_url) if public_url is not None else None
        self._proxies = read_proxies(trusted_proxies)
        self._answered: deque[AnsweredRequest] = deque(maxlen=MAX_KEPT_REQUESTS)
        self._address = ""
        self._folder: DataFolder | None = None
        self._running: tuple[Services, Thread] | None = None
        self._leave = contextlib.ExitStack()

    @property
    def base_url(self) -> str:
        """The base URL for clients on this machine, which ends in ``/v1``."""
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
        """The last 10,000 answered requests, oldest first."""
        return list(self._answered)

    def add(self, function: Callable[..., Any]) -> Version:
        """Register another model while the server is running.

        Args:
            function: A function decorated with ``@model``.

        Returns:
            The new version, which is now the latest version of the model.

        Raises:
            ModelsError: The function cannot be used as a model.
        """

        async def add() -> Version:
            with parts.store.transaction():
                return parts.catalog.add(function)

        parts, thread = self._running_parts()
        return thread.call(add)

    def remove(self, version: Version) -> None:
        """Remove a version and its predictions. Remove the model too if no versions remain.

        If the version replaced a shipped model, the shipped model is restored.

        Args:
            version: The version, as returned by ``add``.
        """

        async def remove() -> None:
            await parts.engine.delete_version(version)
            model = parts.store.models.get(version.model)
            if model is not None and not parts.store.models.has_versions(version.model):
                parts.store.models.delete(model)
            if is_shipped(version.model):
                with parts.store.transaction():
                    parts.catalog.register_shipped()

        parts, thread = self._running_parts()
        thread.call(remove)

    def __enter__(self) -> Self:
        if self._address:
            raise RuntimeError("The server is already running.")
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

    def _running_parts(self) -> tuple[Services, Thread]:
        self._running_address()
        if self._running is None:
            raise RuntimeError("The server has no thread.")
        return self._running

    def _running_address(self) -> str:
        if not self._address:
            raise RuntimeError("The server runs only inside its `with` block.")
        return self._address

    def _start(self, stack: contextlib.ExitStack) -> None:
        listener = listen(self._host, self._port)
        stack.callback(listener.close)
        host = reachable(f"[{self._host}]" if ":" in self._host else self._host)
        address = f"http://{host}:{listener.getsockname()[1]}"
        root = self._data
        if root is None:
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="dashscope-"))
        folder = DataFolder(Path(root).absolute())
        try:
            folder.create()
            parts = self._open(folder, self._public.url if self._public else address, stack)
        except (OSError, sqlite3.Error) as error:
            raise DataFolderError(
                f"The data folder {folder.root} cannot be used: {error}."
            ) from error
        app = create_app(
            parts,
            create_pages(parts, self._token),
            reachability=Reachability(
                own=Address.parse(address), public=self._public, proxies=self._proxies
            ),
            token=self._token,
            rate_limit=self._rate_limit,
            answered=self._answered,
        )
        self._warn_without_token()
        thread = stack.enter_context(running(app, parts, listener, self._drain))
        self._running = parts, thread
        self._folder = folder
        self._address = address

    def _register(self, catalog: Catalog) -> ModelsFile | None:
        """Register the models. Return their file if it is reloaded after edits."""
        if not self._reload or not isinstance(self._models, (str, Path)):
            catalog.register(self._models)
            return None
        catalog.register(None)
        file = ModelsFile(Path(self._models))
        loaded = file.read()
        if loaded is not None:
            file.register(catalog, loaded)
        if file.problem is not None:
            logger.warning("%s", file.problem)
        return file

    def _warn_without_token(self) -> None:
        if self._token is not None:
            return
        if self._public is not None:
            logger.warning("without a token, everyone who reaches %s can use it", self._public.url)
        if self._proxies:
            logger.warning(
                "without a token, everyone who reaches a trusted proxy can use the server"
            )

    def _open(self, folder: DataFolder, address: str, stack: contextlib.ExitStack) -> Services:
        try:
            database = Database(folder.database)
        except DataFolderError as error:
            message = f"The data folder {folder.root} cannot be used: {error}"
            if error.in_use:
                message += f" ({folder.read_server_info()})"
            raise DataFolderError(f"{message}.", in_use=error.in_use) from error
        stack.callback(database.close)
        folder.write_server_info(address)
        stack.callback(folder.server_info.unlink, missing_ok=True)
        store = Store(database)
        folder.sweep(store.files.known())
        signer = Signer(store.setting("signing_key", lambda: secrets.token_hex(32)).encode())
        catalog = Catalog(store, folder)
        file = self._register(catalog)
        references = References(store, folder, address)
        engine = Engine(store, catalog, folder, signer, references, self._queue_limit)
        renderer = Renderer(store, signer, address)
        secret = store.setting("webhook_secret", new_webhook_secret)
        webhooks = Webhooks(store, Renderer(store, signer, ORIGIN), renderer, secret)
        feed = ChangeFeed()
        engine.listeners += [webhooks.on_event, feed.on_event]
        webhooks.listeners.append(feed.notify)
        return Services(
            store=store,
            catalog=catalog,
            engine=engine,
            folder=folder,
            signer=signer,
            references=references,
            renderer=renderer,
            webhooks=webhooks,
            feed=feed,
            webhook_secret=secret,
            address=address,
            strict_inputs=self._strict_inputs,
            models_file=file,
        )


def read_public_url(url: str) -> Address:
    """Return the address for the public URL.

    Raises:
        ValueError: The URL is not an address of a server.
    """
    try:
        return Address.parse(url)
    except ValueError as error:
        raise ValueError(f"The public URL cannot be used: {error}.") from error


def read_proxies(texts: str | Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of the trusted proxies.

    Raises:
        ValueError: A text is neither an address nor a network.
    """
    try:
        return parse_networks(texts)
    except ValueError as error:
        raise ValueError(f"A trusted proxy must be an address or a network: {error}.") from error


def new_webhook_secret() -> str:
    """Return a signing secret in the Standard Webhooks format."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
