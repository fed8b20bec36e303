"""Hints for arguments and attributes that other packages have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

NEEDS_CLIENT: Final = (
    "a file output cannot be created from a URL alone, because reading it needs a client. Use "
    "client.files_of(prediction) for the files of a prediction, or client.download(url, path) to "
    "save a URL"
)


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


def unknown_attribute(output: str, name: str) -> NoReturn:
    """Raise the error for an attribute that file outputs do not have."""
    message = f"{type(output).__name__!r} object has no attribute {name!r}"
    if name == "url":
        message += ". A file output is its URL: use it as a str, or str(output)"
    raise AttributeError(message, name=name, obj=output)
