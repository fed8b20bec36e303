"""Arguments of the caller's, checked before anything is sent. Pure: a value in, or an error.

One rule for all: another type is a `TypeError`, another value a `ValueError`, and both name the
parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from dashscope._common.json import is_mapping

LONGEST_SHOWN: Final = 200
"""Characters of a value that a message repeats."""
LONGEST_TIME: Final = 31_000_000.0
"""Seconds, almost a year: all platforms can wait for so long, and servers be told to."""
LARGEST_COUNT: Final = 2**31 - 1


def shown(value: object) -> str:
    """A value as messages show it."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def check_str(name: str, value: object) -> str:
    """`value`, a text that can be sent; it may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} has a lone surrogate in it: {shown(value)}") from error
    return value


def check_text(name: str, value: object) -> str:
    """`value`, a text with something in it."""
    text = check_str(name, value)
    if not text.strip():
        raise ValueError(f"{name} is {shown(text)}: it has to say something")
    return text


def texts(**values: object) -> dict[str, str]:
    """The values by their names, each a text with something in it."""
    return {name: check_text(name, value) for name, value in values.items()}


def texts_given(**values: object) -> dict[str, str]:
    """Those that are not `None`, each a text; an empty one empties what it is for."""
    return {name: check_str(name, value) for name, value in values.items() if value is not None}


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse what is none of the `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {either(choices)}, not {shown(value)}")
    if value not in choices:
        raise ValueError(f"{name} is {either(choices)}, not {shown(value)}")


def check_flag(name: str, value: object) -> bool:
    """`value`, which is `True` or `False`: any text would count as `True`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {shown(value)}")
    return value


def check_count(name: str, value: object, *, least: int, most: int = LARGEST_COUNT) -> int:
    """`value`, a whole number of at least `least` and at most `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {shown(value)}")
    if not least <= value <= most:
        bounds = (
            f"at least {least}"
            if value < least and most == LARGEST_COUNT
            else (f"from {least} to {most}")
        )
        raise ValueError(f"{name} is {bounds}, not {shown(value)}")
    return value


def check_number(name: str, value: object, what: str = "seconds") -> float:
    """`value`, a positive number of `what`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number of {what}, not {shown(value)}")
    if not 0 < value <= LONGEST_TIME:
        most = f" up to {LONGEST_TIME:.0f}" if value > LONGEST_TIME else ""
        raise ValueError(f"{name} is a positive number of {what}{most}, not {shown(value)}")
    return float(value)


def check_timeout(timeout: object) -> float | None:
    """`timeout` in seconds, or `None` for no bound."""
    return None if timeout is None else check_number("timeout", timeout, "seconds or None")


def check_interval(interval: object) -> float | None:
    """A `poll_interval` in seconds, or `None` for the usual one."""
    return None if interval is None else check_number("poll_interval", interval)


def check_mapping(name: str, value: object, what: str) -> Mapping[Any, Any]:
    """`value`, a mapping; `what` says of what, and never shows it: headers may be secret."""
    if not is_mapping(value):
        raise TypeError(f"{name} is a mapping {what}, not of the type {type(value).__name__}")
    return value


def check_several(name: str, value: object, what: str) -> list[Any]:
    """`value`, a list, tuple or set of `what`: a text, or an iterator that ends, is none."""
    if not isinstance(value, list | tuple | set | frozenset):
        one = f": write [{shown(value)}] for a single one" if isinstance(value, str) else ""
        raise TypeError(f"{name} is a list of {what}, not {shown(value)}{one}")
    return list(cast("list[Any]", value))


def check_params(params: object) -> list[tuple[str, Any]]:
    """A query as pairs; a name may occur several times there."""
    if params is None:
        return []
    if is_mapping(params):
        pairs = list(params.items())
    else:
        pairs = check_several("params", params, "pairs of a name and a value")
    return [_pair(pair) for pair in pairs]


def _pair(pair: Any) -> tuple[str, Any]:
    parts = check_several("each of params", pair, "a name and a value")
    if len(parts) != 2:
        raise TypeError(f"params holds pairs of a name and a value, not {shown(parts)}")
    name, value = parts
    if value is not None and not isinstance(value, str | int | float):
        raise TypeError(
            f"params[{shown(name)}] is a str, a number, a bool or None, not {shown(value)}: for "
            "several values, params is a list of pairs"
        )
    return check_str("each name in params", name), value


def check_content(content: object) -> bytes | None:
    """A body as bytes; text goes as UTF-8."""
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return check_str("content", content).encode()
    raise TypeError(f"content is bytes or a str, not of the type {type(content).__name__}")


def either(choices: Sequence[object]) -> str:
    """Choices as messages name them."""
    *front, last = map(repr, choices)
    return f"{', '.join(front)} or {last}" if front else last
