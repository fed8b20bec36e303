"""What a batch is about: a row of the input, its running prediction, its result, and the counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import define

from dashscope import types
from dashscope._api.requestor import Call


@define(eq=False, kw_only=True)
class Row:
    """An input on its way.

    Attributes:
        index: its place, from 0.
        input: the input, as it was given.
        digest: what it is recognized by in a checkpoint; `None` without one.
        call: the request that creates its prediction, once its files are sent.
        sent: what its input is recognized by in a list of predictions.
        attempts: how often its creation was tried.
        first_attempt: when it was tried first.
        is_sent: whether the server may know of it.
        intended_at: when an earlier call was about to create it.
        is_noted: whether the checkpoint has the intent to create it.
    """

    index: int
    input: Mapping[str, Any]
    digest: bytes | None = None
    call: Call | None = None
    sent: bytes | None = None
    attempts: int = 0
    first_attempt: float = 0.0
    is_sent: bool = False
    intended_at: datetime | None = None
    is_noted: bool = False


@define(eq=False, kw_only=True)
class Running:
    """A prediction that is watched.

    Attributes:
        row: the row it is for.
        id: its id.
        created_at: when it was created, by the server's clock.
        since: when it was created or attached to, by ours.
        deadline: when its time is up.
        latest: its state as last seen.
        due: when it is looked at by itself, `None` while lists show it.
        is_fetched: whether a look at it is under way.
        is_expired: whether its time is up.
        is_attached: whether it was created before this batch.
        was_left: whether an earlier batch was about to cancel it.
    """

    row: Row
    id: str
    created_at: datetime | None
    since: float
    deadline: float | None = None
    latest: types.Prediction | None = None
    due: float | None = None
    is_fetched: bool = False
    is_expired: bool = False
    is_attached: bool = False
    was_left: bool = False
