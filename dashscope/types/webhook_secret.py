"""The secret that signs webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value


@frozen(kw_only=True, repr=False)
class WebhookSecret(Value):
    """The secret that signs webhooks.

    Attributes:
        key: The secret: `whsec_` and base64.
        raw: The JSON as received.
    """

    key: str = field(repr=False)
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
