"""Forks: a child process does not use its parent's connections or wait for its parent's locks.

Before a fork, modules that calls import on first use are imported. Otherwise, a thread that is
importing one would leave the import lock held in the child forever. After a fork, the runtimes in
the child start afresh.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
from importlib import import_module
from typing import Final, Protocol, runtime_checkable

LOADED_LATER: Final = ("dashscope._runtime.thread_workers",)
"""The modules that calls of both flavors import on first use."""

inherited: list[object] = []
"""The parent's connections in a forked child: never used or closed, and so kept alive."""


@runtime_checkable
class Forked(Protocol):
    """An object that can start afresh in a forked child."""

    def loaded_later(self) -> Iterable[str]:
        """Return the modules that its calls import on first use."""
        ...

    def forget(self) -> None:
        """Start afresh in a forked child, without touching the parent's connections and locks."""
        ...


def load_before_fork(*modules: str) -> None:
    """Register modules to import before a fork."""
    _registered.update(modules)


def know(runtime: Forked) -> None:
    """Prepare an object for forks, for as long as it lives."""
    _known.add(runtime)


_known: weakref.WeakSet[Forked] = weakref.WeakSet()
_registered: set[str] = set()


def _before_fork() -> None:
    runtimes = list(_known)
    missing = {name for runtime in runtimes for name in runtime.loaded_later()}
    loaded: set[str] = set()
    # A module may register others while it is loaded.
    while runtimes and (missing := (missing | _registered) - loaded):
        for name in missing:
            # If another thread is importing the module, this waits until it is done.
            import_module(name)
        loaded |= missing


def _after_fork() -> None:
    for runtime in list(_known):
        runtime.forget()


def async_modules(*, http2: bool) -> Iterable[str]:
    """Return the modules that anyio and httpcore import on first use in async code."""
    yield from (
        "dashscope._runtime.task_workers",
        "anyio.to_thread",
        "anyio.streams.tls",
        "anyio._core._sockets",
    )
    for library in ("asyncio", "trio"):
        if library in sys.modules:
            yield f"anyio._backends._{library}"
    if http2:
        yield "httpcore._async.http2"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
