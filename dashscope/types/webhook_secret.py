"""The secret that webhooks are signed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class WebhookSecret:
    """The secret that webhooks are signed with.

    Attributes:
        key: the secret, `whsec_` and base64.
        raw: the JSON as received.
    """

    key: str = field(repr=False)
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
