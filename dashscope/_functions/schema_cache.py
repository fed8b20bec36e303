"""The schemas that a client has fetched, each once for all concurrent callers."""

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
from dashscope._runtime.drive import drive
from dashscope.types.model import Model, Version

FRESH: Final = 60.0
"""How many seconds the latest version of a model is cached before a mismatch refetches it."""


@frozen
class KnownSchema:
    """A fetched schema.

    Attributes:
        schema: The schema.
        seen: When it was fetched, on the monotonic clock. `None` if it never changes.
    """

    schema: ModelSchema
    seen: float | None

    @property
    def is_fresh(self) -> bool:
        """True if the schema cannot be out of date."""
        return self.seen is None or time.monotonic() - self.seen < FRESH


@frozen
class FailedFetch:
    """A schema that could not be fetched.

    Attributes:
        error: The error.
        at: When the request failed, on the monotonic clock.
    """

    error: APIError
    at: float


Schemas: TypeAlias = dict[str, KnownSchema | FailedFetch]
"""The schemas of a client and its views, by model reference."""


async def known_schema(
    api: Requestor, schemas: Schemas, reference: Reference, deadline: Deadline, *, fresh: bool
) -> ModelSchema:
    """Return the schema of a model, fetched once for all concurrent callers.

    Args:
        api: Sends the request.
        schemas: The schemas of the client.
        reference: The model.
        deadline: When to give up.
        fresh: Whether to refetch a schema that may be out of date.

    Raises:
        APIError: If the request fails. Concurrent callers get a copy of the same error.
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
    raise timed_out(f"the schema of {key}")


async def _fetched(api: Requestor, reference: Reference, deadline: Deadline) -> KnownSchema:
    owner, name, id = reference.owner, reference.name, reference.version
    where = path("/models/{owner}/{name}", owner=owner, name=name)
    if id is not None:
        where += path("/versions/{id}", id=id)
    response = await api.send(Call(method="GET", path=where), deadline=deadline)
    if id is not None:
        return KnownSchema(schema_of(structure(response, Version, id=id)), None)
    model = structure(response, Model)
    schema = schema_of(model.latest_version, description=model.description)
    return KnownSchema(schema, time.monotonic())


@frozen(eq=False)
class SchemaLoader:
    """Loads the schema of one model for a client.

    Attributes:
        api: Sends the request.
        schemas: The schemas of the client.
        ref: The model, as the user wrote it.
        reference: The model.
        timeout: Seconds that a request of `require()` may take.
    """

    api: Requestor
    schemas: Schemas
    ref: str
    reference: Reference
    timeout: float | None

    @property
    def known(self) -> ModelSchema | None:
        """The schema, or `None` if it is not loaded."""
        known = self.schemas.get(str(self.reference))
        return known.schema if isinstance(known, KnownSchema) else None

    @property
    def can_load(self) -> bool:
        """True if `require()` loads the schema. An async client cannot load it without `await`."""
        return not self.api.runtime.is_shared

    async def load(self, deadline: Deadline, *, fresh: bool = False) -> ModelSchema:
        """Return the schema. `known_schema()` describes the arguments and errors."""
        return await known_schema(self.api, self.schemas, self.reference, deadline, fresh=fresh)

    def require(self) -> ModelSchema:
        """Return the schema where nothing can be awaited.

        Raises:
            RuntimeError: If it is not loaded, and the client is async.
            APIError: If the request fails.
        """
        if (schema := self.known) is not None:
            return schema
        if not self.can_load:
            raise RuntimeError(
                f"The schema of {self.ref} is not loaded. Call `await f.load()` before "
                "the signature, annotations or schema of the function are read."
            )
        return drive(self.load(Deadline.after(self.timeout)))
