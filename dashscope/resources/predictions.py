"""Predictions: runs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from dashscope._api.resource import AsyncResource, id_of, time_param
from dashscope._common.deadline import Deadline
from dashscope._common.validation import (
    check_choice,
    check_text,
    check_timeout,
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
    """`client.predictions`."""

    __slots__ = ()

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
        """Start a run of a model, and go on without it.

        Args:
            version: what to run: a version's id, `owner/name:version`, or the `owner/name` of
                an official model.
            input: the model's inputs; files in it are sent along.
            wait: seconds (1 to 60) for which the server holds the answer back until there
                is an output.
            cancel_after: seconds (5 or more), a `timedelta` or a text like `1h30m` after which
                the server cancels the prediction.
            stream: ask for a `urls.stream`; models that stream have one anyway.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.

        Raises:
            NotFoundError: when there is no such version; some servers answer 422 to that too.
            UnprocessableEntityError: when the input is not what it takes.

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
        """Get the state of a prediction, by its id or an older state of it.

        Endpoint: `GET /predictions/{prediction_id}`.
        """
        return await self._get(Prediction, prediction_path(prediction))

    async def list(
        self,
        *,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        source: Literal["web"] | None = None,
        cursor: str | None = None,
    ) -> Page[Prediction]:
        """List the account's predictions, newest first, a page of 100 at a time.

        Args:
            created_after: only those created at this time or later.
            created_before: only those created before this time.
            source: only those created in this way: `web`.
            cursor: which page, by the `next` of another one; by default the first.

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
        """Cancel a prediction; one that is over stays as it is.

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
        """Stream the events of a prediction that runs or ran.

        Args:
            prediction: the prediction, or its id.
            timeout: seconds that the stream may take, by default as many as the model does.
            stall_timeout: seconds without a byte after which the connection is made again.
            use_file_output: whether URLs in the output become file outputs; by default as the
                client says.
            cancel_on_exit: whether to cancel it when the stream is left before its end.

        Returns:
            A stream, to be opened by `async with`.

        Raises:
            StreamError: when the model does not stream, or something is missing that nothing
                can fill.

        ```python
        async with client.predictions.stream(prediction) as stream:
            async for event in stream:
                print(event)
        ```

        Endpoint: `GET` of the prediction's `urls.stream`.
        """
        deadline = Deadline.after(check_timeout(timeout))
        id_of(prediction, Prediction)
        watch = watch_prediction(self._api, cancel_on_exit=cancel_on_exit, deadline=deadline)

        async def begin() -> None:
            await watch.attach(prediction, deadline=deadline, progress=None)

        return event_stream(
            self._api,
            watch,
            begin,
            ref=None,
            deadline=deadline,
            stall_timeout=stall_timeout,
            use_file_output=use_file_output,
        )
