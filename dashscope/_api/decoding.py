"""JSON to attrs classes: checked, never coerced. What the server sent stays in `.raw`.

`structure()` is the entry point. cattrs generates one function per class. Only if a response does
not match does a slower, detailed pass find out which field is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, override

from dashscope import types
from dashscope._common.json import is_array, is_object
from dashscope._common.urls import InvalidURLError, page_query, segment
from dashscope._errors import APIResponseError
from dashscope.types.http import redacted
from dashscope.types.page import Page

T = TypeVar("T")

SHOWN_BODY: Final = 200
_DAY = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)
LONGEST_REASON: Final = 1000
"""The longest reason in a message, in characters. A reason quotes the values that do not match."""
_SECONDS = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)([6-9]\d)(.*)", re.DOTALL)


def structure(response: types.Response, cls: type[T], *, id: str | None = None) -> T:
    """Return the body of a response as a `cls`.

    Args:
        response: The response.
        cls: The type.
        id: The id that was requested, if any.

    Raises:
        APIResponseError: If the body is not JSON, does not match `cls`, or has another id.
    """
    value = convert(decode_response(response), cls, response)
    if id is not None and (found := getattr(value, "id", id)) != id:
        what = cls.__name__.lower()
        raise unexpected_response(f"the {what} {found!r} instead of {id!r}", response)
    return value


def structure_created(response: types.Response, cls: type[T]) -> T:
    """Return the body of the response to a create request.

    If the body does not match, the error says that something may have been created.
    """
    try:
        return structure(response, cls)
    except APIResponseError as error:
        error.may_have_been_created = True
        raise


def structure_list(response: types.Response, cls: type[T]) -> list[T]:
    """Return the body of a response, a JSON array, as a list of `cls`."""
    return [convert(item, cls, response) for item in _array(decode_response(response), response)]


def structure_page(response: types.Response, cls: type[T]) -> Page[T]:
    """Return the body of a response as a page of `cls`."""
    body = _object(decode_response(response), response)
    results = _array(body.get("results"), response)
    return Page(
        results=tuple(convert(item, cls, response) for item in results),
        next=_url(body.get("next"), response),
        previous=_url(body.get("previous"), response),
        raw=body,
    )


def decode_response(response: types.Response) -> Any:
    """Return the body of a response as JSON.

    Raises:
        APIResponseError: If the body is empty or not JSON.
    """
    if not response.content:
        raise _after(
            response,
            APIResponseError(
                f"The server sent an empty body with status {response.status}, but a JSON body was "
                f"expected.{_asked(response)}"
            ),
        )
    try:
        return response.json()
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "content without a type")
    # Outside the `except` block: the JSON error holds the whole body and would be chained.
    hint = ". Check the base URL" if "html" in kind else ""
    raise unexpected_response(f"{kind} instead of JSON{hint}", response)


def convert(value: Any, cls: type[T], response: types.Response) -> T:
    """Return a part of a response's JSON as a `cls`."""
    try:
        return fitted(value, cls)
    except ValueError as error:
        reason = str(error)
    del value  # it may contain the token, which tracebacks that show variables must not show
    raise unexpected_response(f"a value that {reason}", response)


def fitted(value: Any, cls: type[T]) -> T:
    """Return JSON as a `cls`.

    Raises:
        ValueError: If the value does not match. The message is `is not a ...` and the reason.
    """
    try:
        return _fast.structure(value, cls)
    except Exception:  # the generated functions raise any exception
        reason = _reason(value, cls)
        if reason is None:  # the value does match: a signal handler raised this
            raise
    raise ValueError(reason[:LONGEST_REASON])


def unexpected_response(reason: str, response: types.Response) -> APIResponseError:
    """Return the error for a response that does not match the API.

    Args:
        reason: What the server sent, as the end of a sentence.
        response: The response.
    """
    start = redacted(response, response.text)[:SHOWN_BODY]
    return _after(
        response,
        APIResponseError(
            f"The server sent {redacted(response, reason)}. The body starts with {start!r}."
            f"{_asked(response)}",
            body=start,
        ),
    )


def _name(value: Any) -> str:
    return type(value).__name__


def _asked(response: types.Response) -> str:
    return f" The request was {response.asked}." if response.asked else ""


def _after(response: types.Response, error: APIResponseError) -> APIResponseError:
    return error.after(
        attempts=response.attempts, elapsed=response.elapsed, may_have_been_created=False
    )


def _reason(value: Any, cls: type[Any]) -> str | None:
    """Return why a value does not match, or `None` if it does."""
    try:
        _thorough.structure(value, cls)
    except Exception as error:  # noqa: BLE001 (the generated functions raise any exception)
        return f"is not a {cls.__name__}: " + "; ".join(transform_error(error))
    return None


def _object(value: Any, response: types.Response) -> dict[str, Any]:
    if not is_object(value):
        raise unexpected_response(f"{_name(value)} instead of an object", response)
    return value


def _array(value: Any, response: types.Response) -> list[Any]:
    if not is_array(value):
        raise unexpected_response(f"{_name(value)} instead of an array", response)
    return value


def _url(value: Any, response: types.Response) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise unexpected_response(f"{_name(value)} instead of the URL of a page", response)
    try:
        page_query(value)
    except InvalidURLError:
        reason = "an invalid URL of a page"
    else:
        return value
    raise unexpected_response(reason, response)


def _make_converter(*, detailed_validation: bool) -> Converter:
    converter = Converter(detailed_validation=detailed_validation)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, _SCALARS[kind])
    converter.register_structure_hook(datetime, _datetime)
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
    (inner,) = (argument for argument in get_args(cls) if argument is not NoneType)
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


_fast = _make_converter(detailed_validation=False)
_thorough = _make_converter(detailed_validation=True)
