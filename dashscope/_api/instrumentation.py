"""Hooks for tracing `run()`, `wait()`, `stream()` and `map()`.

One `Instrumentation` can be installed per process. Without one, operations are `NOTHING`, whose
methods do nothing, and no headers are added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal, TypeAlias

from dashscope import types

Name: TypeAlias = Literal["run", "wait", "stream", "map", "row"]
"""The kind of an operation. A `row` is one prediction of a `map`."""

_EMPTY: Final[AbstractContextManager[None]] = nullcontext()


class Operation:
    """An operation of a client. This class does nothing: it is used without tracing."""

    def active(self) -> AbstractContextManager[object]:
        """Return a block whose work belongs to the operation, in this task or thread."""
        return _EMPTY

    def saw(self, job: types.Prediction | types.Training) -> None:
        """Record a state of the operation's prediction or training."""

    def counted(self, *, done: int, failed: int) -> None:
        """Record how many rows of a batch succeeded and failed."""

    def end(self, error: BaseException | None) -> None:
        """Record the end of the operation, and the error that ended it."""

    def whole(self) -> AbstractContextManager[object]:
        """Return a block that is the whole operation, including its end."""
        return _EMPTY


class WatchedOperation(Operation):
    """The base of operations that an `Instrumentation` traces."""

    def whole(self) -> AbstractContextManager[object]:
        return self._whole()

    @contextmanager
    def _whole(self) -> Generator[None]:
        with self.active():
            try:
                yield
            except BaseException as error:
                self.end(error)
                raise
        self.end(None)


class Instrumentation(ABC):
    """Traces the operations of all clients."""

    @abstractmethod
    def begin(self, name: Name, *, base_url: str, model: str | None) -> Operation:
        """Begin an operation.

        Args:
            name: The kind of operation.
            base_url: The address of the API.
            model: The model, as the caller named it, or `None` if it is not known yet.
        """

    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """Return the headers to add to a request that is sent now."""


NOTHING: Final = Operation()

_installed: Instrumentation | None = None


def install(instrumentation: Instrumentation | None) -> None:
    """Install an instrumentation in place of the current one. `None` removes it."""
    global _installed
    _installed = instrumentation


def begin(name: Name, base_url: str, model: str | None) -> Operation:
    """Begin an operation, traced by the installed instrumentation."""
    if _installed is None:
        return NOTHING
    return _installed.begin(name, base_url=base_url, model=model)


def headers() -> Mapping[str, str]:
    """Return the headers to add to a request to the API."""
    return _NO_HEADERS if _installed is None else _installed.headers()


_NO_HEADERS: Final[Mapping[str, str]] = {}
