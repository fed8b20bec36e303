"""Deployments: a model behind a fixed endpoint of your own, on hardware of your choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from dashscope._api.decoding import structure, structure_created
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, body_of
from dashscope._common.urls import path
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
    """`client.deployments`."""

    __slots__ = ()

    @property
    def predictions(self) -> AsyncDeploymentPredictions:
        """Predictions by a deployment's name."""
        return AsyncDeploymentPredictions(self._api)

    async def list(self, *, cursor: str | None = None) -> Page[Deployment]:
        """List the account's deployments.

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
            name: its name.
            model: `owner/name` of the model.
            version: the id of the model's version.
            hardware: the `sku` of what it runs on, one of `client.hardware.list()`.
            min_instances: how many instances run at least, 0 to 5.
            max_instances: how many instances run at most, 0 to 20.

        Endpoint: `POST /deployments`.
        """
        body = {
            **texts(name=name, model=model, version=version, hardware=hardware),
            **_instances(min_instances=min_instances, max_instances=max_instances),
        }
        call = Call(method="POST", path="/deployments", json=body, creates=True)
        return structure_created(await self._api.send(call), Deployment)

    async def get(self, owner: str, name: str) -> Deployment:
        """Get a deployment.

        Endpoint: `GET /deployments/{deployment_owner}/{deployment_name}`.
        """
        return await self._get(Deployment, _path(owner, name))

    async def update(
        self,
        owner: str,
        name: str,
        *,
        version: str | None = None,
        hardware: str | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
    ) -> Deployment:
        """Change a deployment, which makes a new release; what is not given stays.

        Args:
            owner: the user or organization it belongs to.
            name: its name.
            version: the id of the model's version.
            hardware: the `sku` of what it runs on.
            min_instances: how many instances run at least, 0 to 5.
            max_instances: how many instances run at most, 0 to 20.

        Endpoint: `PATCH /deployments/{deployment_owner}/{deployment_name}`.
        """
        body = {
            **texts(**body_of(version=version, hardware=hardware)),
            **_instances(**body_of(min_instances=min_instances, max_instances=max_instances)),
        }
        call = Call(method="PATCH", path=_path(owner, name), json=body)
        return structure(await self._api.send(call), Deployment)

    async def delete(self, owner: str, name: str) -> None:
        """Delete a deployment that has not been used for 15 minutes.

        Endpoint: `DELETE /deployments/{deployment_owner}/{deployment_name}`.
        """
        await self._delete(_path(owner, name))


class AsyncDeploymentPredictions(AsyncResource):
    """`client.deployments.predictions`."""

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
        """Run the model of a deployment.

        Args:
            owner: the user or organization the deployment belongs to.
            name: the deployment's name.
            input: the model's inputs; files in it are sent along.
            wait: seconds (1 to 60) for which the server holds the answer back until there
                is an output.
            cancel_after: seconds (5 or more), a `timedelta` or a text like `1h30m` after which
                the server cancels the prediction.
            stream: ask for a `urls.stream`; models that stream have one anyway.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.

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


def _path(owner: str, name: str) -> str:
    return path("/deployments/{owner}/{name}", owner=owner, name=name)
