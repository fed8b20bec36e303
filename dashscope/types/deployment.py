"""Deployments and their releases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types.account import Account


@frozen(kw_only=True)
class DeploymentConfiguration:
    """What a release runs on.

    Attributes:
        hardware: the `sku` of the hardware.
        min_instances: how many instances run at least.
        max_instances: how many instances run at most.
        raw: the JSON as received.
    """

    hardware: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Release:
    """A release of a deployment: each change makes a new one.

    Attributes:
        number: counts from 1.
        model: `owner/name` of the model.
        version: the id of the model's version.
        created_at: when it was made.
        created_by: who made it.
        configuration: what it runs on.
        raw: the JSON as received.
    """

    number: int | None = None
    model: str | None = None
    version: str | None = None
    created_at: datetime | None = None
    created_by: Account | None = None
    configuration: DeploymentConfiguration | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Deployment:
    """A deployment.

    Attributes:
        owner: the user or organization it belongs to.
        name: its name.
        current_release: what it runs now.
        raw: the JSON as received.
    """

    owner: str
    name: str
    current_release: Release | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
