"""Accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value


@frozen(kw_only=True, repr=False)
class Account(Value):
    """A user or an organization.

    Attributes:
        username: The name in URLs and references.
        type: `user` or `organization`.
        name: The display name.
        avatar_url: The URL of the avatar.
        github_url: The URL of the GitHub profile.
        raw: The JSON as received.
    """

    username: str
    type: str | None = None
    name: str | None = None
    avatar_url: str | None = None
    github_url: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
