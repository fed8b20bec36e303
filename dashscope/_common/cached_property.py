"""`cached_property`, like that of functools since Python 3.12, without a lock.

If a process forks while another thread holds the lock, the child waits for the lock forever.

On a class, the property returns a resource without a client, from which
`unittest.mock.create_autospec()` reads the methods.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import getattr_static
from typing import Any, Final, Generic, NoReturn, Self, TypeVar, get_type_hints

T = TypeVar("T")


class _NoClient:
    """Stands for the client of a resource that was read from a class."""

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "resources belong to a client, not to its class: create one with AsyncClient() or "
            "Client()"
        )


_NO_CLIENT: Final = _NoClient()


class cached_property(Generic[T]):  # noqa: N801 (named as its model)
    """A property that is computed once per object and stored in its `__dict__`."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.func = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, instance: object | None, owner: type[Any]) -> T:
        if instance is None:
            resource: Callable[[Any], T] = get_type_hints(self.func)["return"]
            return resource(_NO_CLIENT)
        # If two threads compute the value at once, both get the value that is stored first.
        made: T = vars(instance).setdefault(self._name, self.func(instance))
        return made


def copy_without_cached(instance: T) -> T:
    """Return a shallow copy in which cached properties are computed anew."""
    cls = type(instance)
    copied = cls.__new__(cls)
    for name, value in vars(instance).items():
        if not isinstance(getattr_static(cls, name, None), cached_property):
            vars(copied)[name] = value
    return copied
