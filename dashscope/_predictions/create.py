"""The request that creates a prediction, by whichever of the endpoints: checked, its files sent."""

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
"""What a webhook can be told of."""

WEBHOOK_EVENTS: Final = ("start", "output", "logs", "completed")
SHORTEST_CANCEL_AFTER: Final = 5
"""Seconds; the service takes no less."""
LONGEST_WAIT: Final = 60
"""Seconds; the service holds an answer back no longer."""

_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)


class Creation(TypedDict, total=False):
    """What every way to create a prediction takes; `AsyncPredictions.create` describes it."""

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
    """The request that creates a prediction: checked, and its files sent ahead."""
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
    """The `Prefer` and `Cancel-After` headers.

    Raises:
        ValueError: when one of them is out of the service's bounds.
    """
    headers: dict[str, str] = {}
    if wait is not None:
        check_count("wait", wait, least=1, most=LONGEST_WAIT)
        headers["Prefer"] = f"wait={wait}"
    if cancel_after is not None:
        seconds = duration(cancel_after)
        if seconds < SHORTEST_CANCEL_AFTER:
            raise ValueError(
                f"cancel_after is at least {SHORTEST_CANCEL_AFTER} seconds, "
                f"not {shown(cancel_after)}"
            )
        headers["Cancel-After"] = f"{seconds}s"
    return headers


def duration(value: float | timedelta | str) -> int:
    """A duration in whole seconds, rounded up: a number, a `timedelta`, or text like `1h30m`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if not value or match is None:
            raise ValueError(f"a duration is written like 90s, 5m or 1h30m45s, not {shown(value)}")
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        value = hours * 3600 + minutes * 60 + seconds
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a duration is seconds, a timedelta or text like 5m, not {shown(value)}")
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"a duration is a number of seconds, not {shown(value)}")
    return ceil(value)


def check_webhook(webhook: str | None, events: Sequence[str] | None) -> None:
    """Refuse a webhook that the service could not call, and events it does not know."""
    if webhook is not None:
        check_str("webhook", webhook)
        try:
            parts = urlsplit(webhook)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f"webhook is an http(s) URL, not {shown(webhook)}")
    if events is None:
        return
    for event in check_several("webhook_events_filter", events, "events"):
        check_choice("each of webhook_events_filter", event, WEBHOOK_EVENTS)
