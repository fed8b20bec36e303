"""The request that creates a prediction, with its arguments checked and its files sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, Required, TypeAlias, TypedDict, Unpack
from urllib.parse import urlsplit

from dashscope._api.requestor import Call, Requestor
from dashscope._api.resource import body_of
from dashscope._common.deadline import Deadline
from dashscope._common.validation import (
    LARGEST_COUNT,
    check_choice,
    check_count,
    check_flag,
    check_several,
    check_str,
    shown,
)
from dashscope._files import inputs
from dashscope._files.inputs import FileEncoding
from dashscope._files.uploads import upload

WebhookEvent: TypeAlias = Literal["start", "output", "logs", "completed"]
"""The events that a webhook can receive."""

WEBHOOK_EVENTS: Final = ("start", "output", "logs", "completed")
SHORTEST_CANCEL_AFTER: Final = 5
"""The shortest `cancel_after`, in seconds, that the service accepts."""
DEADLINE_MARGIN: Final = 5.0
"""Seconds after the client's deadline when the server cancels the prediction itself."""
LONGEST_WAIT: Final = 60
"""The longest `wait`, in seconds, that the service accepts."""

_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)


class Creation(TypedDict, total=False):
    """The options of all create operations. `AsyncPredictions.create` describes them."""

    input: Required[Mapping[str, Any]]
    version: str | None
    wait: int | None
    cancel_after: float | timedelta | str | None
    stream: bool | None
    webhook: str | None
    webhook_events_filter: Sequence[WebhookEvent] | None


async def creation(
    api: Requestor,
    path: str,
    *,
    file_encoding: FileEncoding = "auto",
    deadline: Deadline = Deadline.NEVER,
    **options: Unpack[Creation],
) -> Call:
    """Check the options and send the files. Return the request that creates the prediction."""
    wait, events = options.get("wait"), options.get("webhook_events_filter")
    headers = creation_headers(wait, options.get("cancel_after"))
    check_webhook(options.get("webhook"), events)
    if (stream := options.get("stream")) is not None:
        check_flag("stream", stream)
    body = body_of(
        version=options.get("version"),
        input=await inputs.encode(
            options["input"],
            api.runtime,
            lambda file: upload(api, file, deadline=deadline),
            file_encoding,
        ),
        stream=stream,
        webhook=options.get("webhook"),
        webhook_events_filter=None if events is None else list(events),
    )
    return Call(
        method="POST",
        path=path,
        json=body,
        headers=headers,
        creates=True,
        server_wait=float(wait or 0),
    )


def creation_headers(
    wait: int | None, cancel_after: float | timedelta | str | None
) -> dict[str, str]:
    """Return the `Prefer` and `Cancel-After` headers.

    Raises:
        ValueError: If a value is out of the service's range.
    """
    headers: dict[str, str] = {}
    if wait is not None:
        check_count("wait", wait, least=1, most=LONGEST_WAIT)
        headers["Prefer"] = f"wait={wait}"
    if cancel_after is not None:
        seconds = duration(cancel_after)
        if seconds < SHORTEST_CANCEL_AFTER:
            raise ValueError(
                f"cancel_after must be at least {SHORTEST_CANCEL_AFTER} seconds, "
                f"not {shown(cancel_after)}"
            )
        headers["Cancel-After"] = f"{seconds}s"
    return headers


def cancel_after_for(timeout: float | None, *, margin: float = DEADLINE_MARGIN) -> float | None:
    """Return the `cancel_after` that the service accepts for a timeout of the client.

    Args:
        timeout: Seconds, or `None` for no limit.
        margin: Seconds to add. A client that waits cancels by itself, unless it is gone.
    """
    if timeout is None:
        return None
    return min(max(timeout + margin, SHORTEST_CANCEL_AFTER), LARGEST_COUNT)


def duration(value: float | timedelta | str) -> int:
    """Return a duration in whole seconds, rounded up.

    Args:
        value: A number of seconds, a `timedelta`, or a text such as `1h30m`.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if not value or match is None:
            raise ValueError(f"a duration must be like 90s, 5m or 1h30m45s, not {shown(value)}")
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        value = hours * 3600 + minutes * 60 + seconds
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"a duration must be seconds, a timedelta or a text like 5m, not {shown(value)}"
        )
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"a duration must be a positive number of seconds, not {shown(value)}")
    return ceil(value)


def check_webhook(webhook: str | None, events: Sequence[str] | None) -> None:
    """Raise if a webhook URL or its events are invalid."""
    if webhook is not None:
        check_str("webhook", webhook)
        try:
            parts = urlsplit(webhook)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f"webhook must be an http(s) URL, not {shown(webhook)}")
    if events is None:
        return
    for event in check_several("webhook_events_filter", events, "events"):
        check_choice("each event of webhook_events_filter", event, WEBHOOK_EVENTS)
