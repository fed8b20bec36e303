"""The events that a checkpoint records about a row. Each is written before the next step starts."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

Key: TypeAlias = int | bytes
"""What identifies a row: its position in the inputs, or a digest."""


@frozen
class Intended:
    """The row's prediction is about to be created.

    Attributes:
        digest: Fingerprint of the input as the user wrote it.
        preview: The start of the input, for error messages.
        sent: Fingerprint of the input as it is sent.
        at: The time by our clock, in ISO 8601.
        clock_skew: Seconds that the server's clock is ahead of ours. `None` if unknown.
    """

    key: Key
    digest: bytes
    preview: str
    sent: bytes | None
    at: str
    clock_skew: float | None


@frozen
class SkewKnown:
    """The clock skew became known after the intent was recorded."""

    key: Key
    clock_skew: float


@frozen
class Created:
    """The row's prediction was created at a time by the server's clock, in ISO 8601."""

    key: Key
    prediction: str
    at: str | None


@frozen
class Finished:
    """The row's prediction has finished. `outcome` is the prediction as JSON."""

    key: Key
    prediction: str
    outcome: str


@frozen
class CancelRequested:
    """The row's prediction is about to be canceled."""

    key: Key


@frozen
class Reset:
    """The row has no prediction any more, and is created again."""

    key: Key


Event: TypeAlias = Intended | SkewKnown | Created | Finished | CancelRequested | Reset


@frozen
class Adopted:
    """Another run works on the row. Only folders record this: databases do it while reading."""

    key: Key
