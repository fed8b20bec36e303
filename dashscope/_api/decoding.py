"""Responses to values. What the server sent stays in `.raw`."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from dashscope import types
from dashscope._common.json import NotJSONError, is_array, is_object
from dashscope._common.urls import InvalidURLError, page_query
from dashscope._errors import APIResponseError
from dashscope.types._structure import fitted
from dashscope.types._value import unset
from dashscope.types.http import redacted
from dashscope.types.page import Page
from dashscope.types.prediction import Prediction

T = TypeVar("T")

SHOWN_BODY: Final = 200


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
        results=tuple(_listed(item, cls, response) for item in results),
        next=_url(body.get("next"), response),
        previous=_url(body.get("previous"), response),
        raw=body,
    )


def _listed(item: Any, cls: type[T], response: types.Response) -> T:
    """Return an item of a page. Servers omit large inputs and outputs of predictions in lists."""
    made = convert(item, cls, response)
    if isinstance(made, Prediction):
        for name in ("input", "output"):
            if name not in item:
                unset(made, name)
    return made


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
    except NotJSONError as error:
        reason = f"{error.name}, which is not JSON, in the body"
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "content without a type")
        reason = f"{kind} instead of JSON" + (". Check the base URL" if "html" in kind else "")
    # Outside the `except` block: the JSON error holds the whole body and would be chained.
    raise unexpected_response(reason, response)


def convert(value: Any, cls: type[T], response: types.Response) -> T:
    """Return a part of a response's JSON as a `cls`."""
    try:
        return fitted(value, cls)
    except ValueError as error:
        reason = str(error)
    del value  # it may contain the token, which tracebacks that show variables must not show
    raise unexpected_response(f"a value that {reason}", response)


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
