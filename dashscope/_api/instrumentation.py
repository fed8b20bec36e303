"""The seam for whoever watches what clients do: `run()`, `wait()`, `stream()` and `map()`.

An `Instrumentation` is installed for the whole process. Without one, an operation is `NOTHING`,
whose methods do nothing, and no header is added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal, TypeAlias

from dashscope import types

Name: TypeAlias = Literal["run", "wait", "stream", "map", "row"]
"""What a client does; a `row` is a prediction of a `map`."""

_EMPTY: Final[AbstractContextManager[None]] = nullcontext()


class Operation:
    """Something a client does, from its begin to its end; this one is watched by nobody."""

    def active(self) -> AbstractContextManager[object]:
        """A block in which what is done belongs to the operation, in this task or thread."""
        return _EMPTY

    def saw(self, job: types.Prediction | types.Training) -> None:
        """Note the state that its prediction or training was seen in."""

    def counted(self, *, done: int, failed: int) -> None:
        """Note how many rows of a batch succeeded, and how many did not."""

    def end(self, error: BaseException | None) -> None:
        """Note its end, and what ended it."""

    def whole(self) -> AbstractContextManager[object]:
        """A block that is the operation, to its end."""
        return _EMPTY


class WatchedOperation(Operation):
    """An operation that somebody watches: what an `Instrumentation` begins."""

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
    """Watches the operations of all clients."""

    @abstractmethod
    def begin(self, name: Name, *, base_url: str, model: str | None) -> Operation:
        """An operation begins.

        Args:
            name: what it is.
            base_url: the address of the API.
            model: the model, as the caller named it; `None` where that is not known yet.
        """

    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """Headers for a request that is made now."""


NOTHING: Final = Operation()

_installed: Instrumentation | None = None


def install(instrumentation: Instrumentation | None) -> None:
    """Have an instrumentation watch from now on, in place of the one before; `None` for none."""
    global _installed
    _installed = instrumentation


def begin(name: Name, base_url: str, model: str | None) -> Operation:
    """An operation begins; whoever is installed watches it."""
    if _installed is None:
        return NOTHING
    return _installed.begin(name, base_url=base_url, model=model)


def headers() -> Mapping[str, str]:
    """Headers for a request to the API."""
    return _NO_HEADERS if _installed is None else _installed.headers()


_NO_HEADERS: Final[Mapping[str, str]] = {}
