"""Predictions: runs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from dashscope._api.resource import AsyncResource, id_of, time_param
from dashscope._common.deadline import Deadline
from dashscope._common.hints import hint_for
from dashscope._common.validation import (
    check_choice,
    check_text,
)
from dashscope._config import STALL_TIMEOUT
from dashscope._predictions.create import WebhookEvent
from dashscope._predictions.operations import (
    cancel_prediction,
    create_prediction,
    event_stream,
    prediction_path,
    watch_prediction,
)
from dashscope._predictions.stream import AsyncEventStream
from dashscope.types.page import Page
from dashscope.types.prediction import Metrics, Prediction, PredictionURLs, Progress

__all__ = [
    "AsyncPredictions",
    "Metrics",
    "Prediction",
    "PredictionURLs",
    "Progress",
]


class AsyncPredictions(AsyncResource):
    """Predictions: `client.predictions`."""

    __slots__ = ()

    @hint_for(
        model="pass the model as version='owner/name' or version='owner/name:version', or use "
        "client.models.predictions.create('owner/name', input=...)",
    )
    async def create(
        self,
        *,
        version: str,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
    ) -> Prediction:
        """Run a model. Returns as soon as the prediction is created.

        Args:
            version: The model to run: the id of a version, `owner/name:version`, or the
                `owner/name` of an official model.
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
            NotFoundError: If there is no such version. Some servers respond with 422 instead.
            UnprocessableEntityError: If the input does not match the model's schema.

        Example:
            ```python
            model = await client.models.get("dashscope", "hello-world")
            prediction = await client.predictions.create(
                version=model.latest_version.id, input={"text": "Alice"}
            )
            prediction = await client.wait(prediction)
            ```

        Endpoint: `POST /predictions`.
        """
        check_text("version", version)
        return await create_prediction(
            self._api,
            "/predictions",
            version=version,
            input=input,
            wait=wait,
            cancel_after=cancel_after,
            stream=stream,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
        )

    async def get(self, prediction: Prediction | str) -> Prediction:
        """Get the current state of a prediction.

        Args:
            prediction: The prediction, or its id.

        Returns:
            The current state.

        Raises:
            NotFoundError: If there is no such prediction.

        Example:
            ```python
            prediction = await client.predictions.get(prediction.id)
            print(prediction.status)
            ```

        Endpoint: `GET /predictions/{prediction_id}`.
        """
        id = id_of(prediction, Prediction)
        return await self._get(Prediction, prediction_path(id), id=id)

    @hint_for(limit="use client.iterate(client.predictions.list, max_items=...)")
    async def list(
        self,
        *,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        source: Literal["web"] | None = None,
        cursor: str | None = None,
    ) -> Page[Prediction]:
        """List the account's predictions, newest first, 100 per page.

        Args:
            created_after: Only predictions created at this time or later.
            created_before: Only predictions created before this time.
            source: Only predictions from this source: `web`, for the website.
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of predictions. Servers omit large inputs and outputs: reading such an `input`
            or `output` raises an error. Use `predictions.get()`.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            async for page in client.paginate(client.predictions.list):
                print(len(page))
            ```

        Endpoint: `GET /predictions`.
        """
        if source is not None:
            check_choice("source", source, ("web",))
        return await self._page(
            Prediction,
            "/predictions",
            cursor=cursor,
            created_after=time_param("created_after", created_after),
            created_before=time_param("created_before", created_before),
            source=source,
        )

    async def cancel(self, prediction: Prediction | str) -> Prediction:
        """Cancel a prediction. A finished prediction does not change.

        Args:
            prediction: The prediction, or its id.

        Returns:
            The state after the cancellation.

        Raises:
            NotFoundError: If there is no such prediction.

        Example:
            ```python
            prediction = await client.predictions.cancel(prediction)
            print(prediction.status)
            ```

        Endpoint: `POST /predictions/{prediction_id}/cancel`.
        """
        return await cancel_prediction(self._api, prediction)

    def stream(
        self,
        prediction: Prediction | str,
        *,
        timeout: float | None = None,
        stall_timeout: float = STALL_TIMEOUT,
        use_file_output: bool | None = None,
        cancel_on_exit: bool = False,
    ) -> AsyncEventStream:
        """Stream the events of a running or finished prediction.

        Exiting the stream early does not cancel the prediction, unless `cancel_on_exit` is set.

        Args:
            prediction: The prediction, or its id.
            timeout: Seconds that the stream may take. Defaults to no limit.
            stall_timeout: Seconds without a byte after which the stream reconnects.
            use_file_output: Whether URLs in the output become file outputs. Defaults to the
                client's setting.
            cancel_on_exit: Whether to cancel the prediction if the stream exits before its end.

        Returns:
            A stream, for use with `async with`.

        Raises:
            StreamError: If the model does not stream, or a part of the output was lost.
            PredictionTimeoutError: If `timeout` passes first.

        Example:
            ```python
            async with client.predictions.stream(prediction) as stream:
                async for event in stream:
                    print(event)
            ```

        Endpoint: `GET` of the prediction's `urls.stream`.
        """
        id_of(prediction, Prediction)
        watch = watch_prediction(self._api, cancel_on_exit=cancel_on_exit)

        async def begin(deadline: Deadline) -> None:
            await watch.attach(prediction, deadline=deadline, progress=None)

        return event_stream(
            self._api,
            watch,
            begin,
            ref=None,
            timeout=timeout,
            stall_timeout=stall_timeout,
            use_file_output=use_file_output,
        )
