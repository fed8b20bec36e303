"""A real signal at one line of many of the code under test, chosen by its number."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

from attrs import define

EXIT = frozenset({"__exit__", "exit_block"})
"""An interrupt at the very call of `__exit__` is one that no `with` in Python survives."""


@define
class Interrupted:
    """What a call did that was interrupted.

    Attributes:
        where: the line, `None` when there was none of that number.
        error: what it raised.
        result: what it returned.
        swallowed: whether what the signal raised came to nobody: Python only prints what a
            finalizer raises, or a generator that is thrown away.
    """

    where: str | None = None
    error: BaseException | None = None
    result: Any = None
    swallowed: bool = False


def interrupted_at(
    line: int, call: Callable[[], Any], *, within: Iterable[str], number: int = signal.SIGINT
) -> Interrupted:
    """Call a function and raise a signal before its line of this number, counted from 1.

    Args:
        line: which of the lines that are run.
        call: the function.
        within: the folders whose lines count.
        number: the signal.
    """
    folders = tuple(within)
    ours: dict[CodeType, bool] = {}
    found = Interrupted()
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
