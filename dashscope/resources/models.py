"""Models: their metadata, versions, examples and readme, and predictions by a model's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from dashscope._api.decoding import structure, structure_created, structure_page
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, page_params
from dashscope._common.urls import path
from dashscope._common.validation import check_choice, check_text, texts, texts_given
from dashscope._predictions.create import WebhookEvent
from dashscope._predictions.operations import create_prediction
from dashscope.types.model import Model, Version
from dashscope.types.page import Page
from dashscope.types.prediction import Prediction

__all__ = [
    "AsyncModelExamples",
    "AsyncModelPredictions",
    "AsyncModelReadme",
    "AsyncModelVersions",
    "AsyncModels",
    "Model",
    "Version",
]


class AsyncModels(AsyncResource):
    """`client.models`."""

    __slots__ = ()

    @property
    def predictions(self) -> AsyncModelPredictions:
        """Predictions by a model's name."""
        return AsyncModelPredictions(self._api)

    @property
    def versions(self) -> AsyncModelVersions:
        """The versions of models."""
        return AsyncModelVersions(self._api)

    @property
    def examples(self) -> AsyncModelExamples:
        """The examples of models."""
        return AsyncModelExamples(self._api)

    @property
    def readme(self) -> AsyncModelReadme:
        """The readmes of models."""
        return AsyncModelReadme(self._api)

    async def list(
        self,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        cursor: str | None = None,
    ) -> Page[Model]:
        """List public models, a page at a time.

        Args:
            sort_by: what to sort by; by default, when the latest version was made.
            sort_direction: `desc` (newest first, the default) or `asc`.
            cursor: which page, by the `next` of another one; by default the first.

        ```python
        async for model in client.iterate(client.models.list, max_items=100):
            print(model.owner, model.name)
        ```

        Endpoint: `GET /models`.
        """
        if sort_by is not None:
            check_choice("sort_by", sort_by, ("model_created_at", "latest_version_created_at"))
        if sort_direction is not None:
            check_choice("sort_direction", sort_direction, ("asc", "desc"))
        return await self._page(
            Model, "/models", cursor=cursor, sort_by=sort_by, sort_direction=sort_direction
        )

    async def create(
        self,
        owner: str,
        name: str,
        *,
        visibility: Literal["public", "private"],
        hardware: str,
        description: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        cover_image_url: str | None = None,
    ) -> Model:
        """Create a model, to train or push versions of.

        Args:
            owner: the user or organization that the token belongs to.
            name: its name, unique among the owner's.
            visibility: who may see and run it.
            hardware: the `sku` of what it runs on, one of `client.hardware.list()`.
            description: what it does.
            github_url: its source code.
            paper_url: its paper.
            license_url: its license.
            cover_image_url: its picture.

        Raises:
            ConflictError: when there is a model of that name.

        Endpoint: `POST /models`.
        """
        check_choice("visibility", visibility, ("public", "private"))
        body = texts(
            owner=owner, name=name, visibility=visibility, hardware=hardware
        ) | texts_given(
            description=description,
            github_url=github_url,
            paper_url=paper_url,
            license_url=license_url,
            cover_image_url=cover_image_url,
        )
        call = Call(method="POST", path="/models", json=body, creates=True)
        return structure_created(await self._api.send(call), Model)

    async def get(self, owner: str, name: str) -> Model:
        """Get a model.

        Endpoint: `GET /models/{model_owner}/{model_name}`.
        """
        return await self._get(Model, _path(owner, name))

    async def update(
        self,
        owner: str,
        name: str,
        *,
        description: str | None = None,
        readme: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        weights_url: str | None = None,
    ) -> Model:
        """Change what is said of a model; what is not given stays, and an empty text empties it.

        Args:
            owner: the user or organization it belongs to.
            name: its name.
            description: what it does.
            readme: its readme, in Markdown.
            github_url: its source code.
            paper_url: its paper.
            license_url: its license.
            weights_url: its weights.

        Endpoint: `PATCH /models/{model_owner}/{model_name}`.
        """
        body = texts_given(
            description=description,
            readme=readme,
            github_url=github_url,
            paper_url=paper_url,
            license_url=license_url,
            weights_url=weights_url,
        )
        call = Call(method="PATCH", path=_path(owner, name), json=body)
        return structure(await self._api.send(call), Model)

    async def delete(self, owner: str, name: str) -> None:
        """Delete a model of your own that is private and has no versions.

        Endpoint: `DELETE /models/{model_owner}/{model_name}`.
        """
        await self._delete(_path(owner, name))

    async def search(self, query: str, *, cursor: str | None = None) -> Page[Model]:
        """Search public models.

        Args:
            query: what to look for.
            cursor: which page, by the `next` of another one; by default the first.

        ```python
        for model in await client.models.search("hello"):
            print(model.owner, model.name)
        ```

        Endpoint: `QUERY /models`.
        """
        check_text("query", query)
        call = Call(
            method="QUERY",
            path="/models",
            params=page_params(cursor, {}),
            content=query.encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )
        return structure_page(await self._api.send(call), Model)


class AsyncModelPredictions(AsyncResource):
    """`client.models.predictions`."""

    __slots__ = ()

    async def create(
        self,
        owner: str,
        name: str,
        *,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
    ) -> Prediction:
        """Run the latest version of a model.

        Args:
            owner: the user or organization the model belongs to.
            name: the model's name.
            input: the model's inputs; files in it are sent along.
            wait: seconds (1 to 60) for which the server holds the answer back until there
                is an output.
            cancel_after: seconds (5 or more), a `timedelta` or a text like `1h30m` after which
                the server cancels the prediction.
            stream: ask for a `urls.stream`; models that stream have one anyway.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.

        Raises:
            NotFoundError: when there is no such model.
            UnprocessableEntityError: when the input is not what the model takes.

        Endpoint: `POST /models/{model_owner}/{model_name}/predictions`.
        """
        return await create_prediction(
            self._api,
            _path(owner, name) + "/predictions",
            input=input,
            wait=wait,
            cancel_after=cancel_after,
            stream=stream,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
        )


class AsyncModelVersions(AsyncResource):
    """`client.models.versions`."""

    __slots__ = ()

    async def list(self, owner: str, name: str, *, cursor: str | None = None) -> Page[Version]:
        """List the versions of a model, newest first.

        Endpoint: `GET /models/{model_owner}/{model_name}/versions`.
        """
        return await self._page(Version, _path(owner, name) + "/versions", cursor=cursor)

    async def get(self, owner: str, name: str, version_id: str) -> Version:
        """Get a version of a model, with the schema of its inputs and outputs.

        Endpoint: `GET /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        return await self._get(Version, _version_path(owner, name, version_id))

    async def delete(self, owner: str, name: str, version_id: str) -> None:
        """Delete a version of a model of your own, with its predictions; it takes minutes.

        Endpoint: `DELETE /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        await self._delete(_version_path(owner, name, version_id))


class AsyncModelExamples(AsyncResource):
    """`client.models.examples`."""

    __slots__ = ()

    async def list(self, owner: str, name: str, *, cursor: str | None = None) -> Page[Prediction]:
        """List the predictions that show what a model does.

        Endpoint: `GET /models/{model_owner}/{model_name}/examples`.
        """
        return await self._page(Prediction, _path(owner, name) + "/examples", cursor=cursor)


class AsyncModelReadme(AsyncResource):
    """`client.models.readme`."""

    __slots__ = ()

    async def get(self, owner: str, name: str) -> str:
        """Get the readme of a model, in Markdown.

        Raises:
            NotFoundError: when it has none.

        Endpoint: `GET /models/{model_owner}/{model_name}/readme`.
        """
        call = Call(method="GET", path=_path(owner, name) + "/readme")
        return (await self._api.send(call)).text


def _path(owner: str, name: str) -> str:
    return path("/models/{owner}/{name}", owner=owner, name=name)


def _version_path(owner: str, name: str, version_id: str) -> str:
    return _path(owner, name) + path("/versions/{version_id}", version_id=version_id)
