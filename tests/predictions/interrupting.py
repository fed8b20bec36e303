"""Raise a real signal at a chosen line of the code under test."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

from attrs import define

EXIT = frozenset({"__exit__", "exit_block"})
"""Python cannot protect a `with` block from an interrupt at the call of `__exit__`."""


@define
class InterruptedCall:
    """The result of an interrupted call.

    Attributes:
        where: The line, or `None` if the call ran fewer lines.
        error: What the call raised.
        result: What the call returned.
        swallowed: Whether the exception of the signal did not propagate. Python only prints
            exceptions of finalizers and of dropped generators.
    """

    where: str | None = None
    error: BaseException | None = None
    result: Any = None
    swallowed: bool = False


def interrupt_at_line(
    line: int, call: Callable[[], Any], *, within: Iterable[str], number: int = signal.SIGINT
) -> InterruptedCall:
    """Call a function and raise a signal before one of its lines.

    Args:
        line: The number of the executed line, counted from 1.
        call: The function.
        within: The folders whose lines count.
        number: The signal.
    """
    folders = tuple(within)
    ours: dict[CodeType, bool] = {}
    found = InterruptedCall()
    count = 0

    def in_exit(frame: FrameType, event: str, _: object) -> Any:
        return in_frame

    def in_frame(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if event == "line" and found.where is None:
            count += 1
            if count == line:
                found.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(number)
        return in_frame

    def traced(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code not in ours:
            ours[code] = code.co_filename.startswith(folders)
        if not ours[code]:
            return None
        return in_exit if code.co_name in EXIT else in_frame

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, KeyboardInterrupt | SystemExit):
            found.swallowed = True
        else:
            hook(what)

    before, hook = sys.gettrace(), sys.unraisablehook
    sys.unraisablehook = unraisable
    sys.settrace(traced)
    try:
        found.result = call()
    except BaseException as error:
        found.error = error
    finally:
        sys.settrace(before)
        sys.unraisablehook = hook
    return found
