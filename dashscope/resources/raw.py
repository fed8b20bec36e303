"""`client.with_raw_response`: the operations, which return the HTTP response with its value.

Each class has the operations of a resource, with the same arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from types import MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from dashscope._api.requestor import Requestor
from dashscope._api.resource import AsyncResource
from dashscope._errors import APIResponseError
from dashscope.resources.account import AsyncAccountResource
from dashscope.resources.collections import AsyncCollections
from dashscope.resources.deployments import AsyncDeploymentPredictions, AsyncDeployments
from dashscope.resources.files import AsyncFiles
from dashscope.resources.hardware import AsyncHardwareResource
from dashscope.resources.models import (
    AsyncModelExamples,
    AsyncModelPredictions,
    AsyncModelReadme,
    AsyncModels,
    AsyncModelVersions,
)
from dashscope.resources.predictions import AsyncPredictions
from dashscope.resources.search import search
from dashscope.resources.trainings import AsyncTrainings
from dashscope.resources.webhooks import AsyncWebhookSecretResource
from dashscope.types.http import RawResponse, Response
from dashscope.types.search import SearchResults

__all__ = [
    "AsyncRawAccount",
    "AsyncRawClient",
    "AsyncRawCollections",
    "AsyncRawDefaultWebhook",
    "AsyncRawDeploymentPredictions",
    "AsyncRawDeployments",
    "AsyncRawFiles",
    "AsyncRawHardware",
    "AsyncRawModelExamples",
    "AsyncRawModelPredictions",
    "AsyncRawModelReadme",
    "AsyncRawModelVersions",
    "AsyncRawModels",
    "AsyncRawPredictions",
    "AsyncRawTrainings",
    "AsyncRawWebhookSecret",
    "AsyncRawWebhooks",
]

P = ParamSpec("P")
T = TypeVar("T")


async def raw_response(api: Requestor, call: Callable[[Requestor], Awaitable[T]]) -> RawResponse[T]:
    """Call an operation, and return its response with its value.

    Args:
        api: Sends the requests.
        call: Calls the operation with the requestor that it gets.
    """
    responses: list[Response] = []
    value, error = None, None
    try:
        value = await call(api.recording(responses))
    except APIResponseError as failure:
        if not responses:
            raise
        error = failure
    response = responses[-1]  # earlier ones are those of uploads
    return RawResponse(
        status=response.status,
        headers=response.headers,
        content=response.content,
        attempts=response.attempts,
        elapsed=response.elapsed,
        asked=response.asked,
        value=value,
        error=error,
    )


class RawMethod(Generic[P, T]):
    """An operation of a resource that returns the response with its value."""

    def __init__(self, method: Callable[Concatenate[Any, P], Awaitable[T]]) -> None:
        self._method = method

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(
        self, instance: RawResource, owner: type[Any]
    ) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]: ...
    def __get__(
        self, instance: RawResource | None, owner: type[Any]
    ) -> Self | Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
        if instance is None:
            return self
        method = self._method

        @functools.wraps(method)
        async def call(raw: Any, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
            return await raw_response(
                raw._api, lambda api: method(raw.resource(api), *args, **kwargs)
            )

        bound: Any = MethodType(call, instance)
        return cast("Callable[P, Coroutine[Any, Any, RawResponse[T]]]", bound)


class RawResource(AsyncResource):
    """The base of the classes here."""

    __slots__ = ()
    resource: ClassVar[type[AsyncResource]]
    """The class of the operations."""


class AsyncRawAccount(RawResource):
    """The account, with responses."""

    __slots__ = ()
    resource = AsyncAccountResource
    get = RawMethod(AsyncAccountResource.get)


class AsyncRawCollections(RawResource):
    """Collections, with responses."""

    __slots__ = ()
    resource = AsyncCollections
    list = RawMethod(AsyncCollections.list)
    get = RawMethod(AsyncCollections.get)


class AsyncRawDeploymentPredictions(RawResource):
    """Predictions of deployments, with responses."""

    __slots__ = ()
    resource = AsyncDeploymentPredictions
    create = RawMethod(AsyncDeploymentPredictions.create)


class AsyncRawDeployments(RawResource):
    """Deployments, with responses."""

    __slots__ = ()
    resource = AsyncDeployments
    list = RawMethod(AsyncDeployments.list)
    create = RawMethod(AsyncDeployments.create)
    get = RawMethod(AsyncDeployments.get)
    update = RawMethod(AsyncDeployments.update)
    delete = RawMethod(AsyncDeployments.delete)

    @property
    def predictions(self) -> AsyncRawDeploymentPredictions:
        """Predictions that run on deployments."""
        return AsyncRawDeploymentPredictions(self._api)


class AsyncRawFiles(RawResource):
    """Uploaded files, with responses."""

    __slots__ = ()
    resource = AsyncFiles
    create = RawMethod(AsyncFiles.create)
    list = RawMethod(AsyncFiles.list)
    get = RawMethod(AsyncFiles.get)
    delete = RawMethod(AsyncFiles.delete)


class AsyncRawHardware(RawResource):
    """Hardware, with responses."""

    __slots__ = ()
    resource = AsyncHardwareResource
    list = RawMethod(AsyncHardwareResource.list)


class AsyncRawModelPredictions(RawResource):
    """Predictions by model name, with responses."""

    __slots__ = ()
    resource = AsyncModelPredictions
    create = RawMethod(AsyncModelPredictions.create)


class AsyncRawModelVersions(RawResource):
    """Versions of models, with responses."""

    __slots__ = ()
    resource = AsyncModelVersions
    list = RawMethod(AsyncModelVersions.list)
    get = RawMethod(AsyncModelVersions.get)
    delete = RawMethod(AsyncModelVersions.delete)


class AsyncRawModelExamples(RawResource):
    """Examples of models, with responses."""

    __slots__ = ()
    resource = AsyncModelExamples
    list = RawMethod(AsyncModelExamples.list)


class AsyncRawModelReadme(RawResource):
    """Readmes of models, with responses."""

    __slots__ = ()
    resource = AsyncModelReadme
    get = RawMethod(AsyncModelReadme.get)


class AsyncRawModels(RawResource):
    """Models, with responses."""

    __slots__ = ()
    resource = AsyncModels
    list = RawMethod(AsyncModels.list)
    create = RawMethod(AsyncModels.create)
    get = RawMethod(AsyncModels.get)
    update = RawMethod(AsyncModels.update)
    delete = RawMethod(AsyncModels.delete)
    search = RawMethod(AsyncModels.search)

    @property
    def predictions(self) -> AsyncRawModelPredictions:
        """Predictions that run the latest version of a model."""
        return AsyncRawModelPredictions(self._api)

    @property
    def versions(self) -> AsyncRawModelVersions:
        """The versions of a model."""
        return AsyncRawModelVersions(self._api)

    @property
    def examples(self) -> AsyncRawModelExamples:
        """The example predictions of a model."""
        return AsyncRawModelExamples(self._api)

    @property
    def readme(self) -> AsyncRawModelReadme:
        """The readme of a model."""
        return AsyncRawModelReadme(self._api)


class AsyncRawPredictions(RawResource):
    """Predictions, with responses."""

    __slots__ = ()
    resource = AsyncPredictions
    create = RawMethod(AsyncPredictions.create)
    get = RawMethod(AsyncPredictions.get)
    list = RawMethod(AsyncPredictions.list)
    cancel = RawMethod(AsyncPredictions.cancel)


class AsyncRawTrainings(RawResource):
    """Trainings, with responses."""

    __slots__ = ()
    resource = AsyncTrainings
    create = RawMethod(AsyncTrainings.create)
    get = RawMethod(AsyncTrainings.get)
    list = RawMethod(AsyncTrainings.list)
    cancel = RawMethod(AsyncTrainings.cancel)


class AsyncRawWebhookSecret(RawResource):
    """The signing secret, with responses."""

    __slots__ = ()
    resource = AsyncWebhookSecretResource
    get = RawMethod(AsyncWebhookSecretResource.get)


class AsyncRawDefaultWebhook(AsyncResource):
    """The default webhook, with responses."""

    __slots__ = ()

    @property
    def secret(self) -> AsyncRawWebhookSecret:
        """The secret that signs webhooks."""
        return AsyncRawWebhookSecret(self._api)


class AsyncRawWebhooks(AsyncResource):
    """Webhooks, with responses."""

    __slots__ = ()

    @property
    def default(self) -> AsyncRawDefaultWebhook:
        """The default webhook."""
        return AsyncRawDefaultWebhook(self._api)


class AsyncRawClient(AsyncResource):
    """The operations of a client, which return responses: `client.with_raw_response`.

    Example:
        ```python
        response = await client.with_raw_response.predictions.get(prediction.id)
        print(response.status, response.request_id, response.rate_limit)
        prediction = response.parse()
        ```
    """

    __slots__ = ()

    @property
    def account(self) -> AsyncRawAccount:
        """The account that the token belongs to."""
        return AsyncRawAccount(self._api)

    @property
    def collections(self) -> AsyncRawCollections:
        """Collections: curated groups of models."""
        return AsyncRawCollections(self._api)

    @property
    def deployments(self) -> AsyncRawDeployments:
        """Deployments, and predictions that run on them."""
        return AsyncRawDeployments(self._api)

    @property
    def files(self) -> AsyncRawFiles:
        """Uploaded files."""
        return AsyncRawFiles(self._api)

    @property
    def hardware(self) -> AsyncRawHardware:
        """The hardware that models can run on."""
        return AsyncRawHardware(self._api)

    @property
    def models(self) -> AsyncRawModels:
        """Models: versions, examples, readmes, and predictions by model name."""
        return AsyncRawModels(self._api)

    @property
    def predictions(self) -> AsyncRawPredictions:
        """Predictions: runs of a model."""
        return AsyncRawPredictions(self._api)

    @property
    def trainings(self) -> AsyncRawTrainings:
        """Trainings: runs that create a new version of a model."""
        return AsyncRawTrainings(self._api)

    @property
    def webhooks(self) -> AsyncRawWebhooks:
        """The secret that signs webhooks."""
        return AsyncRawWebhooks(self._api)

    async def search(self, query: str, *, limit: int | None = None) -> RawResponse[SearchResults]:
        """Search for models, collections and documentation pages.

        Args:
            query: The text to search for.
            limit: How many models to return at most, 1 to 50. Defaults to 20.

        Returns:
            The response. Its `parse()` returns the results.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            response = await client.with_raw_response.search("hello")
            print(response.elapsed, response.parse().query)
            ```

        Endpoint: `GET /search`.
        """
        return await raw_response(self._api, lambda api: search(api, query, limit=limit))
