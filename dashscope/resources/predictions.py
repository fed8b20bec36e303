"""Predictions: runs of a model."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Unpack

from attrs import field, frozen

from dashscope._api.decoding import structure, structure_created
from dashscope._api.instrumentation import NOTHING, Operation
from dashscope._api.pagination import Page
from dashscope._api.polling import is_terminal
from dashscope._api.requestor import API, Call
from dashscope._api.resource import AsyncResource, id_of, time_param
from dashscope._common.deadline import Deadline
from dashscope._common.urls import path
from dashscope._common.validation import (
    check_choice,
    check_number,
    check_text,
    check_timeout,
)
from dashscope._config import STALL_TIMEOUT
from dashscope._predictions.create import Creation, WebhookEvent, creation
from dashscope._predictions.watch import Watch
from dashscope.types import _notebook

if TYPE_CHECKING:
    from dashscope._predictions.stream import AsyncEventStream

# The total follows as a whole number: a line that is still being written has none yet.
# No bar has a stroke in it, which keeps the time linear in what the model prints.
_BAR = re.compile(r"(\d{1,3})%\|[^|]*\|\s{0,9}(\d{1,18})/(\d{1,18})(?=[^\d.a-zA-Z])", re.ASCII)
_WHOLE_BAR = re.compile(_BAR.pattern.replace("(?=[", "(?=$|["), re.ASCII)


@frozen(kw_only=True)
class Progress:
    """How far a prediction is, by the progress bar in its logs.

    Attributes:
        percentage: the part that is done, from 0.0 to 1.0.
        current: how many steps are done.
        total: how many there are.
    """

    percentage: float
    current: int
    total: int

    @classmethod
    def parse(cls, logs: str) -> Progress | None:
        """Read the last complete bar in logs, drawn as `tqdm` does, or `None`."""
        # What nothing follows yet may be half a number.
        *complete, last = re.split(r"[\r\n]", logs)
        for line, bar in [(last, _BAR), *((line, _WHOLE_BAR) for line in reversed(complete))]:
            bars = bar.findall(line)
            if bars:
                percentage, current, total = map(int, bars[-1])
                return cls(percentage=min(percentage, 100) / 100, current=current, total=total)
        return None


@frozen(kw_only=True)
class Metrics:
    """What a prediction or training took.

    Attributes:
        predict_time: seconds the model ran.
        total_time: seconds from its creation to its end.
        raw: the JSON as received, with what else the model measured.
    """

    predict_time: float | None = None
    total_time: float | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class PredictionURLs:
    """Where a prediction or training can be found.

    Attributes:
        get: its state.
        cancel: cancels it.
        stream: its output as it comes, for models that stream.
        web: its page for people.
        raw: the JSON as received.
    """

    get: str | None = None
    cancel: str | None = None
    stream: str | None = None
    web: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Prediction:
    """A run of a model, as it was when the server answered.

    Attributes:
        id: its id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`.
        model: `owner/name` of the model.
        version: the id of the model's version, or `hidden`.
        input: the model's inputs.
        output: the model's output: any JSON, `None` until there is one.
        error: why it failed.
        logs: what the model printed.
        metrics: what it took.
        created_at: when it was created.
        started_at: when the model began.
        completed_at: when it was over.
        deadline: when the server cancels it.
        deployment: the deployment it was created by.
        source: `api` or `web`.
        data_removed: whether the service has removed its input and output.
        urls: where it can be found.
        raw: the JSON as received.
    """

    id: str
    status: str
    model: str | None = None
    version: str | None = None
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    output: Any = field(default=None, hash=False)
    error: str | None = None
    logs: str | None = None
    metrics: Metrics | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    deadline: datetime | None = None
    deployment: str | None = None
    source: str | None = None
    data_removed: bool | None = None
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

    def _repr_html_(self) -> str:
        return _notebook.prediction(self)


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
        return await self._get(Prediction, _path(prediction))

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


def watch_prediction(
    api: API, *, cancel_on_exit: bool, deadline: Deadline, operation: Operation = NOTHING
) -> Watch[Prediction]:
    """A watch over a prediction that is still to be created or attached to."""
    return Watch(
        api,
        look=lambda id, deadline: get_prediction(api, id, deadline=deadline, look=True),
        cancel=lambda id, deadline: cancel_prediction(api, id, deadline=deadline),
        cancel_on_exit=cancel_on_exit,
        deadline=deadline,
        stream_of=lambda prediction: prediction.urls.stream if prediction.urls else None,
        operation=operation,
    )


def event_stream(
    api: API,
    watch: Watch[Prediction],
    begin: Callable[[], Awaitable[None]],
    *,
    ref: str | None,
    deadline: Deadline,
    stall_timeout: float,
    use_file_output: bool | None,
) -> AsyncEventStream:
    """The stream of a prediction that `begin` creates or attaches to, in the client's colour."""
    from dashscope._predictions.stream import AsyncEventStream

    return AsyncEventStream(
        api,
        watch,
        begin,
        ref=ref,
        deadline=deadline,
        stall_timeout=check_number("stall_timeout", stall_timeout),
        claims=api.claims(use_file_output),
    )


async def get_prediction(
    api: API, prediction: Prediction | str, *, deadline: Deadline, look: bool
) -> Prediction:
    """Look at a prediction by a deadline, setting the client's pace where it is a look."""
    call = Call(method="GET", path=_path(prediction))
    return structure(await api.send(call, deadline=deadline, look=look), Prediction)


async def cancel_prediction(
    api: API, prediction: Prediction | str, *, deadline: Deadline = Deadline.NEVER
) -> Prediction:
    """Cancel a prediction by a deadline."""
    call = Call(method="POST", path=_path(prediction) + "/cancel", repeatable=True)
    return structure(await api.send(call, deadline=deadline), Prediction)


async def create_prediction(api: API, path: str, **options: Unpack[Creation]) -> Prediction:
    """Create a prediction by whichever of the three endpoints `path` is."""
    return await send_creation(api, await creation(api, path, **options))


async def send_creation(api: API, call: Call, *, deadline: Deadline = Deadline.NEVER) -> Prediction:
    """Create a prediction by a request that is ready."""
    return structure_created(await api.send(call, deadline=deadline), Prediction)


def _path(prediction: Prediction | str) -> str:
    return path("/predictions/{prediction_id}", prediction_id=id_of(prediction, Prediction))
