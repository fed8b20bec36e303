"""Deployments: a model behind a fixed endpoint of your own, on hardware that you choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from dashscope._api.decoding import structure, structure_created
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, body_of
from dashscope._common.urls import names_of, path
from dashscope._common.validation import check_count, texts
from dashscope._predictions.create import WebhookEvent
from dashscope._predictions.operations import create_prediction
from dashscope.types.deployment import Deployment, DeploymentConfiguration, Release
from dashscope.types.page import Page
from dashscope.types.prediction import Prediction

__all__ = [
    "AsyncDeploymentPredictions",
    "AsyncDeployments",
    "Deployment",
    "DeploymentConfiguration",
    "Release",
]

MOST_MIN_INSTANCES: Final = 5
MOST_MAX_INSTANCES: Final = 20


class AsyncDeployments(AsyncResource):
    """Deployments: `client.deployments`."""

    __slots__ = ()

    @property
    def predictions(self) -> AsyncDeploymentPredictions:
        """Predictions that run on a deployment."""
        return AsyncDeploymentPredictions(self._api)

    async def list(self, *, cursor: str | None = None) -> Page[Deployment]:
        """List the account's deployments.

        Args:
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of deployments.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            for deployment in await client.deployments.list():
                print(deployment.owner, deployment.name)
            ```

        Endpoint: `GET /deployments`.
        """
        return await self._page(Deployment, "/deployments", cursor=cursor)

    async def create(
        self,
        *,
        name: str,
        model: str,
        version: str,
        hardware: str,
        min_instances: int,
        max_instances: int,
    ) -> Deployment:
        """Create a deployment.

        Args:
            name: The name of the deployment.
            model: The model, as `owner/name`.
            version: The id of the model's version.
            hardware: The `sku` of the hardware, one of `client.hardware.list()`.
            min_instances: The minimum number of instances, 0 to 5.
            max_instances: The maximum number of instances, 0 to 20.

        Returns:
            The new deployment.

        Raises:
            ConflictError: If a deployment of that name exists.
            APIStatusError: If the server responds with another error.

        Example:
            ```python
            model = await client.models.get("dashscope", "hello-world")
            deployment = await client.deployments.create(
                name="say-hello",
                model="dashscope/hello-world",
                version=model.latest_version.id,
                hardware="cpu",
                min_instances=0,
                max_instances=1,
            )
            await client.deployments.delete(deployment.owner, deployment.name)
            ```

        Endpoint: `POST /deployments`.
        """
        body = {
            **texts(name=name, model=model, version=version, hardware=hardware),
            **_instances(min_instances=min_instances, max_instances=max_instances),
        }
        call = Call(method="POST", path="/deployments", json=body, creates=True)
        return structure_created(await self._api.send(call), Deployment)

    async def get(self, owner: str, name: str | None = None) -> Deployment:
        """Get a deployment.

        Args:
            owner: The user or organization that owns the deployment, or `owner/name`.
            name: The name of the deployment, unless `owner` contains it.

        Returns:
            The deployment.

        Raises:
            NotFoundError: If there is no such deployment.

        Example:
            ```python
            deployment = await client.deployments.get("local", "my-deployment")
            print(deployment.current_release.version)
            ```

        Endpoint: `GET /deployments/{deployment_owner}/{deployment_name}`.
        """
        return await self._get(Deployment, _path(owner, name))

    async def update(
        self,
        owner: str,
        name: str | None = None,
        *,
        version: str | None = None,
        hardware: str | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
    ) -> Deployment:
        """Change a deployment, which creates a new release. Omitted settings keep their values.

        Args:
            owner: The user or organization that owns the deployment, or `owner/name`.
            name: The name of the deployment, unless `owner` contains it.
            version: The id of the model's version.
            hardware: The `sku` of the hardware, one of `client.hardware.list()`.
            min_instances: The minimum number of instances, 0 to 5.
            max_instances: The maximum number of instances, 0 to 20.

        Returns:
            The changed deployment.

        Raises:
            NotFoundError: If there is no such deployment.

        Example:
            ```python
            await client.deployments.update("local", "my-deployment", max_instances=2)
            ```

        Endpoint: `PATCH /deployments/{deployment_owner}/{deployment_name}`.
        """
        body = {
            **texts(**body_of(version=version, hardware=hardware)),
            **_instances(**body_of(min_instances=min_instances, max_instances=max_instances)),
        }
        call = Call(method="PATCH", path=_path(owner, name), json=body)
        return structure(await self._api.send(call), Deployment)

    async def delete(self, owner: str, name: str | None = None) -> None:
        """Delete a deployment that has not been used for 15 minutes.

        Args:
            owner: The user or organization that owns the deployment, or `owner/name`.
            name: The name of the deployment, unless `owner` contains it.

        Raises:
            NotFoundError: If there is no such deployment.
            APIStatusError: If the deployment was used recently.

        Example:
            ```python
            with suppress(NotFoundError):
                await client.deployments.delete("local", "old-deployment")
            ```

        Endpoint: `DELETE /deployments/{deployment_owner}/{deployment_name}`.
        """
        await self._delete(_path(owner, name))


class AsyncDeploymentPredictions(AsyncResource):
    """Predictions that run on a deployment: `client.deployments.predictions`."""

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
        """Run the model of a deployment. Returns as soon as the prediction is created.

        Args:
            owner: The user or organization that owns the deployment, or `owner/name`.
            name: The name of the deployment, unless `owner` contains it.
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
            NotFoundError: If there is no such deployment.
            UnprocessableEntityError: If the input does not match the model's schema.

        Example:
            ```python
            prediction = await client.deployments.predictions.create(
                "local", "my-deployment", input={"text": "Alice"}
            )
            prediction = await client.wait(prediction)
            ```

        Endpoint: `POST /deployments/{deployment_owner}/{deployment_name}/predictions`.
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


def _instances(**values: object) -> dict[str, int]:
    most = {"min_instances": MOST_MIN_INSTANCES, "max_instances": MOST_MAX_INSTANCES}
    return {
        name: check_count(name, value, least=0, most=most[name]) for name, value in values.items()
    }


def _path(owner: str, name: str | None) -> str:
    owner, name = names_of("owner name", owner, name)
    return path("/deployments/{owner}/{name}", owner=owner, name=name)
