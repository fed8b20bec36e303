"""JSON to values: checked, never coerced. What was received stays in `.raw`.

cattrs generates one fast function per class. Only if JSON does not match, a slower pass finds out
which fields are wrong. It is strict for required fields, outputs and URLs. Every other field that
does not match becomes `None`, because a result that was paid for must not be lost to a side field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from dashscope._common.base_error import DashscopeError
from dashscope._common.json import is_array, is_object
from dashscope._common.logging import logger
from dashscope._common.urls import segment
from dashscope.types.file import FileURLs
from dashscope.types.prediction import PredictionURLs
from dashscope.types.training import TrainingOutput

T = TypeVar("T")

LONGEST_REASON: Final = 1000
"""The longest reason in a message, in characters. A reason quotes the values that do not match."""
STRICT_FIELDS: Final = frozenset({"output", "urls"})
"""The optional fields that must match if they are present."""
STRICT_CLASSES: Final = frozenset({FileURLs, PredictionURLs, TrainingOutput})
"""The classes all of whose fields must match if they are present."""

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)
_SECONDS: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)([6-9]\d)(.*)", re.DOTALL)


def fitted(value: Any, cls: type[T]) -> T:
    """Return JSON as a `cls`.

    Raises:
        ValueError: If the value does not match. The message is `is not a ...` and the reason.
    """
    try:
        return _converter.structure(value, cls)
    except Exception:  # noqa: BLE001 (the generated functions raise any exception)
        ignored: list[str] = []
        try:
            made: T = _read(value, cls, "$", ignored)
        except _MismatchError as error:
            reason = f"is not a {cls.__name__}: {'; '.join(error.reasons)}"
        else:
            if not ignored:  # the value does match: a signal handler raised this
                raise
            logger.info("a %s has unexpected values at %s", cls.__name__, ", ".join(ignored))
            return made
    raise ValueError(reason[:LONGEST_REASON])


class _MismatchError(Exception):
    """A value does not match its type.

    Attributes:
        reasons: The reasons, each with the JSON path of a value.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


def _read(value: Any, kind: Any, where: str, ignored: list[str]) -> Any:
    """Return a value as a type, without the fields that may be omitted and do not match.

    Args:
        value: The value.
        kind: The type.
        where: The JSON path of the value.
        ignored: The JSON paths of the omitted fields are added here.

    Raises:
        _MismatchError: If the value does not match.
    """
    if _is_optional(kind):
        return None if value is None else _read(value, _inner_of(kind), where, ignored)
    if _is_tuple(kind) and is_array(value):
        item = get_args(kind)[0]
        return tuple(_read(each, item, f"{where}[{i}]", ignored) for i, each in enumerate(value))
    if attrs.has(kind) and is_object(value):
        return _read_object(value, kind, where, ignored)
    try:
        return _converter.structure(value, kind)
    except (TypeError, ValueError) as error:
        reason = f"{error} @ {where}"
    except RecursionError:  # the value that does not match cannot be shown
        reason = f"too deeply nested @ {where}"
    raise _MismatchError(reason)


def _read_object(value: dict[str, Any], cls: type[Any], where: str, ignored: list[str]) -> Any:
    fields = attrs.fields(attrs.resolve_types(cls))
    made: dict[str, Any] = {"raw": value} if any(field.name == "raw" for field in fields) else {}
    reasons: list[str] = []
    for field in fields:
        path = f"{where}.{field.name}"
        is_required = field.default is attrs.NOTHING
        if field.name == "raw":
            continue
        if field.name not in value:
            if is_required:
                reasons.append(f"required field missing @ {path}")
            continue
        try:
            made[field.name] = _read(value[field.name], field.type, path, ignored)
            if field.name == "id":
                _check_id(made["id"])
        except TypeError as error:
            reasons.append(f"{error} @ {path}")
        except _MismatchError as error:
            if is_required or field.name in STRICT_FIELDS or cls in STRICT_CLASSES:
                reasons += error.reasons
            else:
                ignored.append(path)
    if reasons:
        raise _MismatchError(*reasons)
    return cls(**made)


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, _SCALARS[kind])
    converter.register_structure_hook(datetime, _datetime)
    converter.register_structure_hook(Exception, _error)
    converter.register_structure_hook_func(_is_literal, _SCALARS[str])  # servers add new choices
    converter.register_structure_hook_func(_is_mapping, _mapping)
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    converter.register_structure_hook_factory(_is_optional, _optional_hook)
    converter.register_structure_hook_factory(attrs.has, _attrs_hook)
    return converter


def _attrs_hook(cls: type[Any], converter: Converter) -> Callable[[Any, Any], Any]:
    build = make_dict_structure_fn(cls, converter, raw=override(omit=True))
    names = {attribute.name for attribute in attrs.fields(cls)}
    has_raw, has_id = "raw" in names, "id" in names

    def hook(value: Any, _: Any) -> Any:
        if not is_object(value):
            raise TypeError(f"expected an object, got {value!r}")
        instance = build(value, cls)
        if has_id:
            _check_id(instance.id)
        if has_raw:
            object.__setattr__(instance, "raw", value)
        return instance

    return hook


def _check_id(id: str) -> None:
    try:
        segment("its id", id)
    except ValueError as error:
        raise TypeError(str(error)) from None


def _optional_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = _inner_of(cls)
    inner_hook = converter.get_structure_hook(inner)

    def hook(value: Any, _: Any) -> Any:
        return None if value is None else inner_hook(value, inner)

    return hook


def _tuple_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = get_args(cls)[0]
    inner_hook = converter.get_structure_hook(inner)

    def hook(value: Any, _: Any) -> Any:
        if not is_array(value):
            raise TypeError(f"expected an array, got {value!r}")
        return tuple(inner_hook(item, inner) for item in value)

    return hook


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _is_mapping(cls: Any) -> bool:
    return get_origin(cls) is Mapping


def _is_optional(cls: Any) -> bool:
    return get_origin(cls) in (Union, UnionType) and NoneType in get_args(cls)


def _inner_of(optional: Any) -> Any:
    (inner,) = (argument for argument in get_args(optional) if argument is not NoneType)
    return inner


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _mapping(value: Any, _: Any) -> Any:
    if not is_object(value):
        raise TypeError(f"expected an object, got {value!r}")
    return value


def _scalar(kind: type[T]) -> Callable[[Any, Any], T]:
    def hook(value: Any, _: Any) -> T:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {value!r}")
        return value

    return hook


def _float(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


_SCALARS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    str: _scalar(str),
    int: _scalar(int),
    bool: _scalar(bool),
    float: _float,
}


def _error(value: Any, _: Any) -> DashscopeError:
    if not isinstance(value, str):
        raise TypeError(f"expected the text of an error, got {value!r}")
    return DashscopeError(value)


def _datetime(value: Any, _: Any) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"expected a time, got {value!r}")
    return parse_time(value)


def parse_time(text: str) -> datetime:
    """Return a time of the API as an aware datetime. Digits beyond microseconds are dropped.

    Seconds past 59 (leap seconds, or a server that keeps counting) run into the next minute.

    Raises:
        ValueError: If the text is not a time.
    """
    if _DAY.match(text) is None:
        raise ValueError(f"{text!r} is not a date and time")
    extra = timedelta(0)
    if (match := _SECONDS.fullmatch(text)) is not None:
        extra = timedelta(seconds=int(match[2]))
        text = f"{match[1]}00{match[3]}"
    try:
        time = datetime.fromisoformat(text) + extra
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of Python's range of times") from error
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_converter: Final = _make_converter()
