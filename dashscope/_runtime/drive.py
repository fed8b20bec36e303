"""`drive()`: run a coroutine that never suspends, without an event loop."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_NO_HOOKS: Final = (None, None)


def drive(coroutine: Coroutine[Any, Any, T], of: AsyncGenerator[Any, None] | None = None) -> T:
    """Run a coroutine to completion in the calling thread.

    Args:
        coroutine: The coroutine.
        of: The generator that the coroutine is a step of.

    Raises:
        RuntimeError: If the coroutine suspends, because there is no event loop to resume it.
    """
    # In a running loop (a notebook), the loop's hooks must not see our async generators.
    hooks = sys.get_asyncgen_hooks()
    is_under_loop = hooks != _NO_HOOKS
    if is_under_loop:
        sys.set_asyncgen_hooks(None, None)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        if is_under_loop:
            sys.set_asyncgen_hooks(*hooks)
    name, where = _ends(coroutine, of)
    error = RuntimeError(f"{name} suspended in {where}, which the sync client does not allow")
    with contextlib.suppress(BaseException):
        coroutine.throw(error)  # an async generator that is running cannot be closed
    with contextlib.suppress(BaseException):
        coroutine.close()
    raise error


def _ends(coroutine: Any, generator: Any) -> tuple[str, str]:
    """Return the names of what was driven and of the innermost awaitable, which suspended."""
    driven = coroutine if generator is None else generator
    name = bottom = getattr(driven, "__qualname__", type(driven).__qualname__)
    awaited = getattr(driven, "cr_await", None) or getattr(driven, "ag_await", None)
    while awaited is not None:
        bottom = getattr(awaited, "__qualname__", type(awaited).__qualname__)
        awaited = getattr(awaited, "cr_await", None)
    return name, bottom
