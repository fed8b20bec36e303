"""Deployments and their releases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value
from dashscope.types.account import Account


@frozen(kw_only=True, repr=False)
class DeploymentConfiguration(Value):
    """The configuration of a release.

    Attributes:
        hardware: The `sku` of the hardware.
        min_instances: The minimum number of instances.
        max_instances: The maximum number of instances.
        raw: The JSON as received.
    """

    hardware: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class Release(Value):
    """A release of a deployment. Each change of the deployment creates one.

    Attributes:
        number: The number of the release, from 1.
        model: The model, as `owner/name`.
        version: The id of the model's version.
        created_at: When the release was created.
        created_by: Who created the release.
        configuration: The hardware and the number of instances.
        raw: The JSON as received.
    """

    number: int | None = None
    model: str | None = None
    version: str | None = None
    created_at: datetime | None = None
    created_by: Account | None = None
    configuration: DeploymentConfiguration | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class Deployment(Value):
    """A deployment.

    Attributes:
        owner: The user or organization that owns the deployment.
        name: The name.
        current_release: The current release.
        raw: The JSON as received.
    """

    owner: str
    name: str
    current_release: Release | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
