"""Models: metadata, versions, examples and readme, and predictions by model name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from dashscope._api.decoding import structure, structure_created, structure_page
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, page_params
from dashscope._common.urls import names_of, path
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
    """Models: `client.models`."""

    __slots__ = ()

    @property
    def predictions(self) -> AsyncModelPredictions:
        """Predictions that run the latest version of a model."""
        return AsyncModelPredictions(self._api)

    @property
    def versions(self) -> AsyncModelVersions:
        """The versions of a model."""
        return AsyncModelVersions(self._api)

    @property
    def examples(self) -> AsyncModelExamples:
        """The example predictions of a model."""
        return AsyncModelExamples(self._api)

    @property
    def readme(self) -> AsyncModelReadme:
        """The readme of a model."""
        return AsyncModelReadme(self._api)

    async def list(
        self,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        cursor: str | None = None,
    ) -> Page[Model]:
        """List public models.

        Args:
            sort_by: The field to sort by. Defaults to `latest_version_created_at`.
            sort_direction: `desc` (newest first, the default) or `asc`.
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of models.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
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
        name: str | None = None,
        *,
        visibility: Literal["public", "private"],
        hardware: str,
        description: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        cover_image_url: str | None = None,
    ) -> Model:
        """Create a model. Trainings and pushes add its versions.

        Args:
            owner: The user or organization that the token belongs to, or `owner/name`.
            name: The name of the model, unique among the owner's models.
            visibility: Who can see and run the model: `public` or `private`.
            hardware: The `sku` of the hardware, one of `client.hardware.list()`.
            description: A short description.
            github_url: The URL of the source code.
            paper_url: The URL of the paper.
            license_url: The URL of the license.
            cover_image_url: The URL of the cover image.

        Returns:
            The new model.

        Raises:
            ConflictError: If a model of that name exists.

        Example:
            ```python
            model = await client.models.create(
                "local", "my-greeter", visibility="private", hardware="cpu"
            )
            await client.models.delete("local", "my-greeter")
            ```

        Endpoint: `POST /models`.
        """
        owner, name = names_of("owner name", owner, name)
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

    async def get(self, owner: str, name: str | None = None) -> Model:
        """Get a model.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.

        Returns:
            The model, with its latest version.

        Raises:
            NotFoundError: If there is no such model.

        Example:
            ```python
            model = await client.models.get("dashscope", "hello-world")
            print(model.description, model.latest_version.id)
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}`.
        """
        return await self._get(Model, _path(owner, name))

    async def update(
        self,
        owner: str,
        name: str | None = None,
        *,
        description: str | None = None,
        readme: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        weights_url: str | None = None,
    ) -> Model:
        """Change the metadata of a model.

        Omitted fields keep their values. An empty text clears a field.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            description: A short description.
            readme: The readme, in Markdown.
            github_url: The URL of the source code.
            paper_url: The URL of the paper.
            license_url: The URL of the license.
            weights_url: The URL of the weights.

        Returns:
            The changed model.

        Raises:
            NotFoundError: If there is no such model.

        Example:
            ```python
            await client.models.update("local", "my-style", description="Writes in my style.")
            ```

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

    async def delete(self, owner: str, name: str | None = None) -> None:
        """Delete a private model of your own that has no versions.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.

        Raises:
            NotFoundError: If there is no such model.
            APIStatusError: If the model cannot be deleted.

        Example:
            ```python
            with suppress(NotFoundError):
                await client.models.delete("local", "old-model")
            ```

        Endpoint: `DELETE /models/{model_owner}/{model_name}`.
        """
        await self._delete(_path(owner, name))

    async def search(self, query: str, *, cursor: str | None = None) -> Page[Model]:
        """Search public models.

        Args:
            query: The text to search for.
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of models.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
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
    """Predictions that run the latest version of a model: `client.models.predictions`."""

    __slots__ = ()

    async def create(
        self,
        owner: str,
        name: str | None = None,
        *,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
    ) -> Prediction:
        """Run the latest version of a model. Returns as soon as the prediction is created.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            input: The model's inputs. Files in it (paths, bytes, open binary files) are sent along.
            wait: Seconds (1 to 60) for the server to wait for the output before it answers.
            cancel_after: When the server cancels the prediction: seconds (at least 5), a
                `timedelta`, or a text such as `1h30m`. Defaults to never.
            stream: Request a `urls.stream`. Models that stream have one in any case.
            webhook: An http(s) URL that the server sends events to.
            webhook_events_filter: The events to send. Defaults to all.

        Returns:
            The prediction, usually still running.

        Raises:
            NotFoundError: If there is no such model.
            UnprocessableEntityError: If the input does not match the model's schema.

        Example:
            ```python
            prediction = await client.models.predictions.create(
                "dashscope", "hello-world", input={"text": "Alice"}
            )
            prediction = await client.wait(prediction)
            ```

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
    """The versions of a model: `client.models.versions`."""

    __slots__ = ()

    async def list(
        self, owner: str, name: str | None = None, *, cursor: str | None = None
    ) -> Page[Version]:
        """List the versions of a model, newest first.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of versions.

        Raises:
            NotFoundError: If there is no such model.

        Example:
            ```python
            for version in await client.models.versions.list("dashscope", "hello-world"):
                print(version.id, version.created_at)
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}/versions`.
        """
        return await self._page(Version, _path(owner, name) + "/versions", cursor=cursor)

    async def get(
        self, owner: str, name: str | None = None, version_id: str | None = None
    ) -> Version:
        """Get a version of a model, with the schema of its inputs and output.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            version_id: The id of the version. The last argument if `owner` contains the name.

        Returns:
            The version.

        Raises:
            NotFoundError: If there is no such version.

        Example:
            ```python
            version = await client.models.versions.get("dashscope", "hello-world", version_id)
            print(version.openapi_schema["components"]["schemas"]["Input"])
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        owner, name, id = names_of("owner name version_id", owner, name, version_id)
        return await self._get(Version, _version_path(owner, name, id), id=id)

    async def delete(
        self, owner: str, name: str | None = None, version_id: str | None = None
    ) -> None:
        """Delete a version of your own model, with all its predictions. The deletion takes minutes.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            version_id: The id of the version. The last argument if `owner` contains the name.

        Raises:
            NotFoundError: If there is no such version.

        Example:
            ```python
            with suppress(NotFoundError):
                await client.models.versions.delete("local", "my-style", "an-old-version")
            ```

        Endpoint: `DELETE /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        owner, name, id = names_of("owner name version_id", owner, name, version_id)
        await self._delete(_version_path(owner, name, id))


class AsyncModelExamples(AsyncResource):
    """The example predictions of a model: `client.models.examples`."""

    __slots__ = ()

    async def list(
        self, owner: str, name: str | None = None, *, cursor: str | None = None
    ) -> Page[Prediction]:
        """List the predictions that show what a model does.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of predictions.

        Raises:
            NotFoundError: If there is no such model.

        Example:
            ```python
            for prediction in await client.models.examples.list("dashscope", "hello-world"):
                print(prediction.input, prediction.output)
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}/examples`.
        """
        return await self._page(Prediction, _path(owner, name) + "/examples", cursor=cursor)


class AsyncModelReadme(AsyncResource):
    """The readme of a model: `client.models.readme`."""

    __slots__ = ()

    async def get(self, owner: str, name: str | None = None) -> str:
        """Get the readme of a model.

        Args:
            owner: The user or organization that owns the model, or `owner/name`.
            name: The name of the model, unless `owner` contains it.

        Returns:
            The readme, in Markdown.

        Raises:
            NotFoundError: If there is no such model, or it has no readme.

        Example:
            ```python
            await client.models.update("local", "my-style", readme="# My style")
            print(await client.models.readme.get("local", "my-style"))
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}/readme`.
        """
        call = Call(method="GET", path=_path(owner, name) + "/readme")
        return (await self._api.send(call)).text


def _path(owner: str, name: str | None) -> str:
    owner, name = names_of("owner name", owner, name)
    return path("/models/{owner}/{name}", owner=owner, name=name)


def _version_path(owner: str, name: str, version_id: str) -> str:
    return _path(owner, name) + path("/versions/{version_id}", version_id=version_id)
