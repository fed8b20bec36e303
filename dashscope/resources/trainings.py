"""Trainings: runs that train a model and create a new version of another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashscope._api.decoding import structure_created
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource, body_of, id_of
from dashscope._common.hints import hint_for
from dashscope._common.urls import Reference, names_of, path
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
    """Trainings: `client.trainings`."""

    __slots__ = ()

    @hint_for(
        model="pass the model and the id of the version first: "
        "client.trainings.create('owner/name', version_id, destination=..., input=...)",
        version="pass the version first: "
        "client.trainings.create('owner/name:version', destination=..., input=...)",
    )
    async def create(
        self,
        owner: str,
        name: str | None = None,
        version_id: str | None = None,
        *,
        destination: str,
        input: Mapping[str, Any],
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
    ) -> Training:
        """Train a model. Returns as soon as the training is created.

        Args:
            owner: The user or organization that owns the model to train, or `owner/name`, or
                `owner/name:version`.
            name: The name of the model to train, unless `owner` contains it.
            version_id: The id of the version to train. The last argument if `owner` contains the
                name.
            destination: An existing model, as `owner/name`, that gets the new version.
            input: The training's inputs. Files in it (paths, bytes, open binary files) are sent
                along.
            webhook: An http(s) URL that the server sends events to.
            webhook_events_filter: The events to send. Defaults to all.

        Returns:
            The training, usually still running.

        Raises:
            BadRequestError: If the model cannot be trained.
            NotFoundError: If there is no such version or destination.

        Example:
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
            raise ValueError(
                f"destination must be owner/name without a version, not {destination!r}"
            )
        check_webhook(webhook, webhook_events_filter)
        owner, name, id = names_of("owner name version_id", owner, name, version_id)
        url = path(
            "/models/{owner}/{name}/versions/{version_id}/trainings",
            owner=owner,
            name=name,
            version_id=id,
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
        """Get the current state of a training.

        Args:
            training: The training, or its id.

        Returns:
            The current state.

        Raises:
            NotFoundError: If there is no such training.

        Example:
            ```python
            training = await client.trainings.get(training.id)
            print(training.status)
            ```

        Endpoint: `GET /trainings/{training_id}`.
        """
        id = id_of(training, Training)
        return await self._get(Training, training_path(id), id=id)

    async def list(self, *, cursor: str | None = None) -> Page[Training]:
        """List the account's trainings, newest first, 100 per page.

        Args:
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of trainings.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            for training in await client.trainings.list():
                print(training.id, training.status)
            ```

        Endpoint: `GET /trainings`.
        """
        return await self._page(Training, "/trainings", cursor=cursor)

    async def cancel(self, training: Training | str) -> Training:
        """Cancel a training. A finished training does not change.

        Args:
            training: The training, or its id.

        Returns:
            The state after the cancellation.

        Raises:
            NotFoundError: If there is no such training.

        Example:
            ```python
            training = await client.trainings.cancel(training)
            print(training.status)
            ```

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
        """Wait until a training finishes.

        Args:
            training: The training, or its id.
            poll_interval: Seconds between polls. Defaults to an interval that grows from 0.1 to 0.5
                s.
            timeout: Seconds to wait at most. Defaults to no limit.
            progress: A function called with the training after each poll.
            cancel_on_exit: Whether to cancel the training if the wait ends early.

        Returns:
            The finished training: `succeeded`, `failed` or `canceled`.

        Raises:
            PredictionTimeoutError: If the training is still running after `timeout` seconds.
            NotFoundError: If there is no such training.

        Example:
            ```python
            training = await client.trainings.wait(training, timeout=600)
            print(training.status, training.output)
            ```

        Endpoint: `GET /trainings/{training_id}`, repeatedly.
        """
        return await wait_for_training(
            self._api,
            training,
            poll_interval=poll_interval,
            timeout=timeout,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
        )
