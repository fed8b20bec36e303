"""Trainings: runs of a model's training, which make a new version of another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope._api.decoding import structure, structure_created
from dashscope._api.instrumentation import begin
from dashscope._api.pagination import Page
from dashscope._api.polling import is_terminal
from dashscope._api.requestor import API, Call
from dashscope._api.resource import AsyncResource, body_of, id_of
from dashscope._common.deadline import Deadline
from dashscope._common.urls import path
from dashscope._files import inputs
from dashscope._predictions.create import WebhookEvent, check_webhook
from dashscope._predictions.watch import Watch, check_wait
from dashscope._reference import Reference
from dashscope.resources.files import upload
from dashscope.resources.predictions import Metrics, PredictionURLs, Progress


@frozen(kw_only=True)
class TrainingOutput:
    """What a training made.

    Attributes:
        version: `owner/name:version` of the new version.
        weights: the URL of the trained weights.
        raw: the JSON as received.
    """

    version: str | None = None
    weights: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Training:
    """A training, as it was when the server answered.

    Attributes:
        id: its id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`.
        model: `owner/name` of the model that is trained.
        version: the id of the model's version.
        input: the training's inputs.
        output: what it made, `None` until then.
        error: why it failed.
        logs: what it printed.
        metrics: what it took.
        created_at: when it was created.
        started_at: when it began.
        completed_at: when it was over.
        source: `api` or `web`.
        urls: where it can be found.
        raw: the JSON as received.
    """

    id: str
    status: str
    model: str | None = None
    version: str | None = None
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    output: TrainingOutput | None = None
    error: str | None = None
    logs: str | None = None
    metrics: Metrics | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    source: str | None = None
    urls: PredictionURLs | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)

    @property
    def is_done(self) -> bool:
        """Is it over, in whatever way? A status we do not know counts as running."""
        return is_terminal(self.status)

    @property
    def progress(self) -> Progress | None:
        """How far it is, by the last complete progress bar in its logs."""
        return Progress.parse(self.logs) if self.logs else None


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
        return await self._get(Training, _path(training))

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
        return await _cancel(self._api, training)

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


async def wait_for_training(
    api: API,
    training: Training | str,
    *,
    poll_interval: float | None,
    timeout: float | None,
    progress: Callable[[Training], object] | None,
    cancel_on_exit: bool,
) -> Training:
    """Wait until a training is over; `AsyncTrainings.wait` describes it."""
    interval, deadline = check_wait(api, poll_interval, timeout, progress)
    id_of(training, Training)
    model = None if isinstance(training, str) else training.model
    operation = begin("wait", api.config.base_url, model)
    watch = Watch(
        api,
        look=lambda id, deadline: _look(api, id, deadline),
        cancel=lambda id, deadline: _cancel(api, id, deadline=deadline),
        cancel_on_exit=cancel_on_exit,
        deadline=deadline,
        operation=operation,
    )
    with operation.whole():
        async with watch:
            await watch.attach(training, deadline=deadline, progress=progress)
            return await watch.until_done(interval=interval, deadline=deadline, progress=progress)
    raise AssertionError("unreachable")


async def _look(api: API, training: str, deadline: Deadline) -> Training:
    call = Call(method="GET", path=_path(training))
    return structure(await api.send(call, deadline=deadline, look=True), Training)


async def _cancel(
    api: API, training: Training | str, *, deadline: Deadline = Deadline.NEVER
) -> Training:
    call = Call(method="POST", path=_path(training) + "/cancel", repeatable=True)
    return structure(await api.send(call, deadline=deadline), Training)


def _path(training: Training | str) -> str:
    return path("/trainings/{training_id}", training_id=id_of(training, Training))
