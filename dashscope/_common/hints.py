"""Hints for arguments that other packages accept."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def hint_for(**hints: str) -> Callable[[F], F]:
    """Return a decorator for a method that adds hints to the errors about unexpected arguments.

    Args:
        hints: What to pass instead, by the name of an argument that the method does not have.
    """

    def check(arguments: dict[str, Any]) -> None:
        for name in arguments.keys() & hints.keys():
            raise TypeError(f"there is no argument {name!r}: {hints[name]}")

    def decorate(method: F) -> F:
        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            check(kwargs)
            return await method(*args, **kwargs)

        @functools.wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            check(kwargs)
            return method(*args, **kwargs)

        return cast("F", awaited if inspect.iscoroutinefunction(method) else called)

    return decorate
