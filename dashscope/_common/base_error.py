"""`DashscopeError`, the base of all errors. The others are in `dashscope._errors`."""

from __future__ import annotations

from typing import Any


class DashscopeError(Exception):
    """The base of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # `Exception.__reduce__` would call `__init__` with `args` and without keyword arguments.
        return restore, (type(self), self.args), self.__dict__


def restore(cls: type[DashscopeError], args: tuple[Any, ...]) -> DashscopeError:
    """Return an unpickled error."""
    error = cls.__new__(cls, *args)
    error.args = args
    return error


DashscopeError.__module__ = "dashscope"
# The name in pickles, also in those of version 0.1.0.
restore.__module__, restore.__qualname__ = "dashscope._errors", "_restore"
