"""The httpx clients that requests are sent with, and who closes them.

An async client belongs to one event loop, and a sync client to one process. A caller who passes
a ready-made client keeps it and closes it. A client that we create, or that a caller's function
creates for us, is closed by us: at the end of its event loop at the latest.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable
from types import ModuleType
from typing import Any, Final, Literal

import anyio

from dashscope._errors import ConfigurationError
from dashscope._runtime.tasks import starter
from dashscope._runtime.warnings import warn
from dashscope._transport.mapping import library_of

Kind = Literal["AsyncClient", "Client"]

HOW_TO_SHARE: Final = (
    "Pass a function that creates one, such as http_client=httpx.{kind}: it is called once for "
    "each event loop and process, and what it returns is closed with this client."
)


class LoopClient:
    """The client of one event loop, which is closed when that loop ends.

    The event loop holds it, not only our client: a client that is dropped without being closed
    would pass its connections to the garbage collector, which knows no loop to close them in.

    Args:
        client: The `httpx` or `httpx2` client.
        clients: The clients of all loops, which this one adds itself to.
    """

    def __init__(self, client: Any, clients: set[LoopClient]) -> None:
        self.client = client
        self._clients = clients
        self._start = starter()
        self._lifetime = self._live()
        self._is_ending = False
        self._closed: anyio.Event | None = None
        clients.add(self)

    async def enter(self) -> None:
        """Make the event loop responsible for closing it."""
        # The loop closes every async generator that was started in it.
        await anext(self._lifetime)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._is_ending = True
            await self._close()

    async def _close(self) -> None:
        """Close the client. A second caller waits for the first one."""
        self._clients.discard(self)
        if self._closed is not None:
            if not self._closed.is_set():
                await self._closed.wait()
            return
        self._closed = anyio.Event()
        try:
            with anyio.CancelScope(shield=True):
                await self.client.aclose()
        finally:
            self._closed.set()

    async def aclose(self) -> None:
        """Close the client, within its event loop."""
        await self._close()
        if not self._is_ending:
            await self._lifetime.aclose()

    def close_soon(self) -> None:
        """Close the client, from any thread, unless its event loop has ended."""
        self._start(self.aclose)


def close_when_dropped(owner: object, clients: set[LoopClient], name: str) -> Callable[[], object]:
    """Close the clients of all loops when their owner is garbage collected, with a warning.

    Returns:
        A function that calls this off.
    """
    finalizer = weakref.finalize(owner, _dropped, clients, name)
    finalizer.atexit = False
    return finalizer.detach


def _dropped(clients: set[LoopClient], name: str) -> None:
    remaining = list(clients)
    for client in remaining:
        client.close_soon()
    if remaining:
        warn(name, "aclose()")


class Given:
    """The `http_client` that a caller passed: a client, or a function that creates one.

    Attributes:
        ready: The ready-made client, or `None` if a function was passed.
    """

    def __init__(self, http_client: Any, kind: Kind) -> None:
        self._kind: Kind = kind
        self._create: Callable[[], Any] | None = None
        self.ready: Any = None
        if _is_client(http_client):
            self.ready = self._checked(http_client)
        elif callable(http_client):
            self._create = http_client
        else:
            raise self._rejected(http_client)

    def create(self) -> Any:
        """Call the caller's function.

        Raises:
            ConfigurationError: If it does not return a client of this kind.
        """
        assert self._create is not None
        return self._checked(self._create())

    def used_elsewhere(self, where: str) -> ConfigurationError:
        """Return the error for a ready-made client that is used where it does not belong."""
        return ConfigurationError(
            f"The http_client {where}. " + HOW_TO_SHARE.format(kind=self._kind)
        )

    def _checked(self, client: Any) -> Any:
        bases: tuple[type, ...] = type(client).__mro__ if _is_client(client) else ()
        if self._kind not in {cls.__name__ for cls in bases}:
            raise self._rejected(client)
        return client

    def _rejected(self, found: object) -> ConfigurationError:
        ours = "AsyncClient" if self._kind == "AsyncClient" else "Client"
        return ConfigurationError(
            f"{ours} takes an httpx.{self._kind} (or httpx2.{self._kind}) as its http_client, or "
            f"a function that returns one, not {type(found).__name__}."
        )


def _is_client(value: object) -> bool:
    return library_of(value) is not None


def library(client: Any) -> ModuleType:
    """Return the library of a client that was checked."""
    found = library_of(client)
    assert found is not None
    return found
