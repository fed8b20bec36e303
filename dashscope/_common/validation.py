"""Checks of arguments, before anything is sent. Pure.

A wrong type raises `TypeError` and a wrong value `ValueError`. Both name the parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from dashscope._common.json import is_mapping

LONGEST_SHOWN: Final = 200
"""The longest value that a message repeats, in characters."""
LONGEST_TIME: Final = 31_000_000.0
"""The longest wait, in seconds (almost a year), that works on all platforms and in requests."""
LARGEST_COUNT: Final = 2**31 - 1


def shown(value: object) -> str:
    """Return a value for messages, shortened."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python converts
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def check_str(name: str, value: object) -> str:
    """Return `value` if it is a text that can be sent. It may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} contains a lone surrogate: {shown(value)}") from error
    return value


def check_text(name: str, value: object) -> str:
    """Return `value` if it is a text that is not blank."""
    text = check_str(name, value)
    if not text.strip():
        raise ValueError(f"{name} must not be blank, but is {shown(text)}")
    return text


def texts(**values: object) -> dict[str, str]:
    """Return the values by name, each checked to be a text that is not blank."""
    return {name: check_text(name, value) for name, value in values.items()}


def texts_given(**values: object) -> dict[str, str]:
    """Return the values that are not `None` by name, each checked to be a text. It may be empty."""
    return {name: check_str(name, value) for name, value in values.items() if value is not None}


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise if `value` is not one of `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {either(choices)}, not {shown(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be {either(choices)}, not {shown(value)}")


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a bool. Other values are not converted: any text would be true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return value


def check_count(name: str, value: object, *, least: int, most: int = LARGEST_COUNT) -> int:
    """Return `value` if it is an integer from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {shown(value)}")
    if not least <= value <= most:
        bounds = (
            f"at least {least}"
            if value < least and most == LARGEST_COUNT
            else (f"from {least} to {most}")
        )
        raise ValueError(f"{name} must be {bounds}, not {shown(value)}")
    return value


def check_number(name: str, value: object, what: str = "seconds") -> float:
    """Return `value` if it is a positive number of `what`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of {what}, not {shown(value)}")
    if not 0 < value <= LONGEST_TIME:
        most = f" (at most {LONGEST_TIME:.0f})" if value > LONGEST_TIME else ""
        raise ValueError(f"{name} must be a positive number of {what}{most}, not {shown(value)}")
    return float(value)


def check_timeout(timeout: object) -> float | None:
    """Return `timeout` in seconds, or `None` for no limit."""
    return None if timeout is None else check_number("timeout", timeout, "seconds or None")


def check_interval(interval: object) -> float | None:
    """Return a `poll_interval` in seconds, or `None` for the default."""
    return None if interval is None else check_number("poll_interval", interval)


def check_mapping(name: str, value: object, what: str) -> Mapping[Any, Any]:
    """Return `value` if it is a mapping. The message does not show it: headers may be secret.

    Args:
        name: The name of the parameter.
        value: The value.
        what: What the mapping contains, for the message.
    """
    if not is_mapping(value):
        raise TypeError(f"{name} must be a mapping {what}, not {type(value).__name__}")
    return value


def check_several(name: str, value: object, what: str) -> list[Any]:
    """Return `value` as a list if it is a list, tuple or set. Texts and iterators are refused."""
    if not isinstance(value, list | tuple | set | frozenset):
        hint = f". For a single one, pass [{shown(value)}]" if isinstance(value, str) else ""
        raise TypeError(f"{name} must be a list of {what}, not {shown(value)}{hint}")
    return list(cast("list[Any]", value))


def check_params(params: object) -> list[tuple[str, Any]]:
    """Return a query as pairs. A name may occur several times."""
    if params is None:
        return []
    if is_mapping(params):
        pairs = list(params.items())
    else:
        pairs = check_several("params", params, "pairs of a name and a value")
    return [_pair(pair) for pair in pairs]


def _pair(pair: Any) -> tuple[str, Any]:
    parts = check_several("each item of params", pair, "a name and a value")
    if len(parts) != 2:
        raise TypeError(f"params must contain pairs of a name and a value, not {shown(parts)}")
    name, value = parts
    if value is not None and not isinstance(value, str | int | float):
        raise TypeError(
            f"params[{shown(name)}] must be a str, a number, a bool or None, not {shown(value)}. "
            "For several values, pass params as a list of pairs"
        )
    return check_str("each name in params", name), value


def check_content(content: object) -> bytes | None:
    """Return a body as bytes. Text is encoded as UTF-8."""
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return check_str("content", content).encode()
    raise TypeError(f"content must be bytes or a str, not {type(content).__name__}")


def either(choices: Sequence[object]) -> str:
    """Return choices in words, for messages."""
    *front, last = map(repr, choices)
    return f"{', '.join(front)} or {last}" if front else last
