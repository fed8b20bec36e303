"""Run one test body in every flavor: asyncio, uvloop, trio, and the sync client.

A test body uses `await` and the async API. For the flavor `sync`, the body receives an `Awaited`,
which wraps the real `Client`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from types import MethodType
from typing import Any, Self

import anyio
import pytest

from dashscope import AsyncClient, Client, FileOutput
from dashscope._runtime.drive import drive
from dashscope._sync.facade import ClosingIterator, Facade

FLAVORS = ("asyncio", "uvloop", "trio", "sync")
_BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


def params(*default: str, omit: str = "") -> list[Any]:
    """Return the parameters of `flavor`: these by default, the others in the soak session."""
    others = [name for name in FLAVORS if name not in (*default, omit)]
    return [*default, *(pytest.param(name, marks=pytest.mark.soak) for name in others)]


def fixture(*default: str) -> Any:
    """Return a fixture `flavor` with these flavors by default, and all in the soak session."""

    @pytest.fixture(name="flavor", params=params(*default))
    def flavor(request: pytest.FixtureRequest) -> str:
        name: str = request.param
        return name

    return flavor


def run(flavor: str, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test body in a flavor."""
    if flavor == "sync":
        drive(body())
    else:
        anyio.run(body, **_BACKENDS[flavor])


def make_client(flavor: str, *args: Any, **options: Any) -> Any:
    """Return a client of a flavor. Test bodies use it with `await` in every flavor."""
    if flavor == "sync":
        return Awaited(Client(*args, **options))
    return AsyncClient(*args, **options)


class Awaited:
    """A sync object, or the result of a sync call, behind the async interface."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getattr__(self, name: str) -> Any:
        name = {"aclose": "close"}.get(name, name)
        value = getattr(self._value, name)
        if isinstance(value, MethodType):
            return _awaited_call(value)
        return Awaited(value) if isinstance(value, Facade) else value

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return _awaited_call(self._value)(*args, **kwargs)

    def __await__(self) -> Generator[Any, None, Any]:
        return _plain(self._value)
        yield

    async def __aiter__(self) -> AsyncIterator[Any]:
        if isinstance(self._value, Facade):  # a stream or batch that was entered
            for item in self._value:
                yield _plain(item)
            return
        with self._value as items:
            for item in items:
                yield _plain(item)

    async def __anext__(self) -> Any:
        try:
            return _plain(next(self._value))
        except StopIteration:
            pass
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        self._value.__enter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._value.__exit__(*exc)

    def __repr__(self) -> str:
        return repr(self._value)


class AwaitedFile(str):
    """A sync file output behind the async interface."""

    file: FileOutput

    def __getattr__(self, name: str) -> Any:
        return _awaited_call(getattr(self.file, name))


def _awaited_call(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        args = tuple(getattr(arg, "__wrapped__", arg) for arg in args)
        return Awaited(method(*args, **kwargs))

    return call


def _plain(value: Any) -> Any:
    if isinstance(value, FileOutput):
        file = AwaitedFile(value)
        file.file = value
        return file
    if isinstance(value, Facade | ClosingIterator):
        return Awaited(value)
    if type(value) is list:
        return [_plain(item) for item in value]
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value
