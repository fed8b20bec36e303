"""Hardware that models run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value


@frozen(kw_only=True, repr=False)
class Hardware(Value):
    """A kind of hardware.

    Attributes:
        sku: The name in requests, such as `cpu`.
        name: The display name.
        raw: The JSON as received.
    """

    sku: str
    name: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
