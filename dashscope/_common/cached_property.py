"""`cached_property`, like that of functools since Python 3.12, without a lock.

If a process forks while another thread holds the lock, the child waits for the lock forever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 (named as its model)
    """A property that is computed once per object and stored in its `__dict__`."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.func = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Self | T:
        if instance is None:
            return self
        # If two threads compute the value at once, both get the value that is stored first.
        made: T = vars(instance).setdefault(self._name, self.func(instance))
        return made


def copy_without_cached(instance: T) -> T:
    """Return a shallow copy in which cached properties are computed anew."""
    cls = type(instance)
    copied = cls.__new__(cls)
    for name, value in vars(instance).items():
        if not isinstance(getattr(cls, name, None), cached_property):
            vars(copied)[name] = value
    return copied
