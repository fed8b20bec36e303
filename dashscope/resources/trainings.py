"""Trainings: runs of a model's training, which make a new version of another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashscope._api.decoding import structure_created
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, body_of
from dashscope._common.urls import Reference, path
from dashscope._files import inputs
from dashscope._files.uploads import upload
from dashscope._predictions.create import WebhookEvent, check_webhook
from dashscope._predictions.training import cancel_training, training_path, wait_for_training
from dashscope.types.page import Page
from dashscope.types.training import Training, TrainingOutput

__all__ = [
    "AsyncTrainings",
    "Training",
    "TrainingOutput",
]


class AsyncTrainings(AsyncResource):
    """`client.trainings`."""

    __slots__ = ()

    async def create(
        self,
        owner: str,
        name: str,
        version_id: str,
        *,
        destination: str,
        input: Mapping[str, Any],
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
    ) -> Training:
        """Train a model.

        Args:
            owner: the user or organization the model belongs to.
            name: the model's name.
            version_id: the id of the version to train.
            destination: `owner/name` of an existing model that gets the new version.
            input: the training's inputs; files in it are sent along.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.

        Raises:
            BadRequestError: when the model cannot be trained.

        ```python
        training = await client.trainings.create(
            "dashscope",
            "markov",
            version_id,
            destination="local/my-style",
            input={"text": Path("book.txt")},
        )
        training = await client.trainings.wait(training)
        ```

        Endpoint: `POST /models/{model_owner}/{model_name}/versions/{version_id}/trainings`.
        """
        if Reference.parse(destination).version is not None:
            raise ValueError(f"destination is owner/name without a version, not {destination!r}")
        check_webhook(webhook, webhook_events_filter)
        url = path(
            "/models/{owner}/{name}/versions/{version_id}/trainings",
            owner=owner,
            name=name,
            version_id=version_id,
        )
        body = body_of(
            destination=destination,
            input=await inputs.encode(
                input, self._api.runtime, lambda file: upload(self._api, file)
            ),
            webhook=webhook,
            webhook_events_filter=webhook_events_filter and list(webhook_events_filter),
        )
        call = Call(method="POST", path=url, json=body, creates=True)
        return structure_created(await self._api.send(call), Training)

    async def get(self, training: Training | str) -> Training:
        """Get the state of a training, by its id or an older state of it.

        Endpoint: `GET /trainings/{training_id}`.
        """
        return await self._get(Training, training_path(training))

    async def list(self, *, cursor: str | None = None) -> Page[Training]:
        """List the account's trainings, newest first, a page of 100 at a time.

        Args:
            cursor: which page, by the `next` of another one; by default the first.

        Endpoint: `GET /trainings`.
        """
        return await self._page(Training, "/trainings", cursor=cursor)

    async def cancel(self, training: Training | str) -> Training:
        """Cancel a training; one that is over stays as it is.

        Endpoint: `POST /trainings/{training_id}/cancel`.
        """
        return await cancel_training(self._api, training)

    async def wait(
        self,
        training: Training | str,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[Training], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> Training:
        """Wait until a training is over, in whatever way.

        Args:
            training: the training, or its id.
            poll_interval: seconds between two looks, by default from 0.1 to 0.5.
            timeout: seconds to wait at the most, by default as long as it takes.
            progress: called with the training at each look.
            cancel_on_exit: whether to cancel it when the wait ends before it does.

        Raises:
            PredictionTimeoutError: when it was not over within `timeout`.

        Endpoint: `GET /trainings/{training_id}`, as often as needed.
        """
        return await wait_for_training(
            self._api,
            training,
            poll_interval=poll_interval,
            timeout=timeout,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
        )
