"""The schemas of models that a client knows: each is fetched once, for all who ask for it."""

from __future__ import annotations

import time
from copy import copy
from typing import Final, TypeAlias

from attrs import frozen

from dashscope._api.decoding import structure
from dashscope._api.requestor import Call, Requestor
from dashscope._common.deadline import Deadline
from dashscope._common.urls import Reference, path
from dashscope._errors import APIError, timed_out
from dashscope._functions.schema import ModelSchema, schema_of
from dashscope.types.model import Model, Version

FRESH: Final = 60.0
"""Seconds for which the newest version of a model counts as the newest one, once it was seen."""


@frozen
class KnownSchema:
    """A schema, and what is known of it.

    Attributes:
        schema: the schema.
        seen: when it was fetched, on the monotonic clock; `None` where it never changes.
    """

    schema: ModelSchema
    seen: float | None

    @property
    def is_fresh(self) -> bool:
        """Is it certainly the one that counts?"""
        return self.seen is None or time.monotonic() - self.seen < FRESH


@frozen
class FailedFetch:
    """A schema that could not be fetched.

    Attributes:
        error: why.
        at: when, on the monotonic clock.
    """

    error: APIError
    at: float


Schemas: TypeAlias = dict[str, KnownSchema | FailedFetch]
"""The schemas that a client and its views know, by reference."""


async def known_schema(
    api: Requestor, schemas: Schemas, reference: Reference, deadline: Deadline, *, fresh: bool
) -> ModelSchema:
    """The schema of a model, fetched once for all who ask at the same time.

    Args:
        api: what fetches it.
        schemas: the schemas that the client knows.
        reference: the model.
        deadline: when it must be there.
        fresh: whether one that may be out of date is fetched anew.

    Raises:
        APIError: when it cannot be fetched; whoever waited for the same request gets a copy.
    """
    key = str(reference)

    def kept() -> ModelSchema | None:
        known = schemas.get(key)
        if isinstance(known, KnownSchema) and (known.is_fresh or not fresh):
            return known.schema
        return None

    if (schema := kept()) is not None:
        return schema
    asked_at = time.monotonic()
    with api.runtime.bound(deadline):
        async with api.runtime.lock(key):
            if (schema := kept()) is not None:
                return schema
            last = schemas.get(key)
            if isinstance(last, FailedFetch) and last.at >= asked_at:
                raise copy(last.error)
            try:
                known = await _fetched(api, reference, deadline)
            except APIError as error:
                schemas[key] = FailedFetch(error, time.monotonic())
                raise
            schemas[key] = known
            return known.schema
    raise timed_out(f"The schema of {key}")


async def _fetched(api: Requestor, reference: Reference, deadline: Deadline) -> KnownSchema:
    owner, name, id = reference.owner, reference.name, reference.version
    where = path("/models/{owner}/{name}", owner=owner, name=name)
    if id is not None:
        where += path("/versions/{id}", id=id)
    response = await api.send(Call(method="GET", path=where), deadline=deadline)
    version: Version | None
    if id is not None:
        version, seen = structure(response, Version), None
    else:
        version, seen = structure(response, Model).latest_version, time.monotonic()
    return KnownSchema(schema_of(version), seen)
