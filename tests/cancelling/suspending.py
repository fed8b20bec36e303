"""Something happens at one suspension of many of the code under test, chosen by its number."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Counted:
    """An awaitable that counts the suspensions of a coroutine, and calls a function at one.

    Args:
        coroutine: the coroutine.
        at: the number of the suspension, counted from 1.
        again: whether to call it at each later one as well.

    Attributes:
        then: the function.
        reached: whether the coroutine came to that suspension at all.
    """

    then: Callable[[], object]

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], at: int, *, again: bool = False
    ) -> None:
        self._coroutine = coroutine
        self._at = at
        self._again = again
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        count = 0
        step = self._coroutine.send
        value: Any = None
        while True:
            try:
                suspended = step(value)
            except StopIteration as stop:
                return stop.value
            count += 1
            if count == self._at or (self._again and count > self._at):
                self.reached = True
                self.then()
            try:
                value = yield suspended
                step = self._coroutine.send
            except BaseException as error:
                value = error
                step = self._coroutine.throw
