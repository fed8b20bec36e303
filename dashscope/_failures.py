"""What went wrong, from either side: an answer's error, and an error's outcome for a retry."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from dashscope._api import retry
from dashscope._api.retry import Outcome
from dashscope._common.json import object_in
from dashscope._common.secrets import scrubbed
from dashscope._errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    shortened,
    status_error_type,
)
from dashscope.types.http import Headers, Response

_ADVICE: Final[Mapping[int, str]] = {
    401: "Check the token: api_token=... or DASHSCOPE_API_TOKEN.",
    403: "The token's account may not do this.",
    404: "Check the name or id, and that this account sees it.",
    429: "Lower the concurrency, or wait and try again.",
}


def status_error(what: str, response: Response, *, advice: str = "") -> APIStatusError:
    """The error that an answer with an error status stands for; `advice` replaces the usual."""
    text = scrubbed(response.text)
    headers = Headers({scrubbed(name): scrubbed(value) for name, value in response.headers.items()})
    body = object_in(text)
    title, detail = _str(body.get("title")), _str(body.get("detail"))
    status = response.status
    error_type = status_error_type(status)
    retry_after = retry.retry_after_of(response.headers.get("retry-after"), body)
    explanation = shortened(detail or title or text.strip()[:200] or "without an explanation")
    message = f"{what}: {status} {_reason(status)}: {explanation.rstrip('.')}."
    if retry_after is not None:
        message += f" The server asks to wait {retry_after:g} s."
    if advice:
        message += f" {advice}"
    elif 300 <= status < 400:
        message += " Redirects of the API are not followed: check the base URL."
    elif status in _ADVICE:
        message += f" {_ADVICE[status]}"
    if (request_id := headers.get("x-request-id")) is not None:
        message += f" (request {request_id})"
    return error_type(
        scrubbed(message),
        status=status,
        title=title,
        detail=detail,
        headers=headers,
        body=text,
        retry_after=retry_after,
    )


def is_refusal(outcome: Outcome) -> bool:
    """Was the connection refused?"""
    return outcome.status is None and not outcome.request_sent and not outcome.timed_out


def outcome_of(error: APIError) -> Outcome:
    """How an attempt ended, by its error."""
    if isinstance(error, APIStatusError):
        return Outcome(status=error.status, retry_after=error.retry_after)
    if not isinstance(error, APIConnectionError):
        return Outcome(permanent=True)
    return Outcome(
        request_sent=error.request_sent,
        timed_out=isinstance(error, APITimeoutError),
        permanent=error.permanent,
    )


def maybe_carried_out(outcome: Outcome) -> bool:
    """May the server have carried the request out all the same?"""
    if outcome.status is None:
        return outcome.request_sent
    return outcome.status in (408, 499) or outcome.status >= 500


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None
