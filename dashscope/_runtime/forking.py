"""Forks: a child uses nothing of its parent's, and waits for no lock that nobody will release.

Before a fork, what calls load on first use is loaded: a thread that was in the middle of it
would leave the lock of an import held in the child for ever. After it, the child's runtimes
leave the parent's connections and locks alone and start anew.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
from importlib import import_module
from typing import Final, Protocol

LOADED_LATER: Final = ("dashscope._runtime.thread_workers",)
"""The modules that calls load on first use, whatever the flavor."""

inherited: list[object] = []
"""In a forked child, the parent's connections: neither used nor closed, so kept alive."""


class Forked(Protocol):
    """What knows how to go on in a child."""

    def loaded_later(self) -> Iterable[str]:
        """The modules that its calls load on first use."""
        ...

    def forget(self) -> None:
        """In a forked child: leave the parent's connections and locks alone, start anew."""
        ...


def load_before_fork(*modules: str) -> None:
    """Register modules that calls load on first use."""
    _registered.update(modules)


def know(runtime: Forked) -> None:
    """Prepare it for forks for as long as it lives."""
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
            # If another thread is loading it, this waits until that is done.
            import_module(name)
        loaded |= missing


def _after_fork() -> None:
    for runtime in list(_known):
        runtime.forget()


def async_modules(*, http2: bool) -> Iterable[str]:
    """What anyio and httpcore load on first use where waiting is suspending."""
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
