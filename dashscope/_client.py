"""`AsyncClient`: what users call, and what they are told of it; the work is done elsewhere."""

from __future__ import annotations

import os
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from dashscope import _batch, _config, _files, _functions, _predictions, resources, types
from dashscope._api.requestor import Requestor
from dashscope._common.cached_property import cached_property, copy_without_cached
from dashscope._common.secrets import Token
from dashscope._common.validation import check_count, check_timeout, shown
from dashscope._config import (
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    STALL_TIMEOUT,
    UNCHANGED,
    EventHooks,
)
from dashscope._runtime.forking import load_before_fork
from dashscope._transport import protocols
from dashscope.types.http import Response, merged

T = TypeVar("T")

load_before_fork(
    *(
        f"dashscope.resources.{name}"
        for name in (
            "account",
            "collections",
            "deployments",
            "files",
            "hardware",
            "models",
            "predictions",
            "search",
            "trainings",
            "webhooks",
            "_request",
        )
    ),
    "dashscope._api.pagination",
    "dashscope._batch.batch",
    "dashscope._batch.options",
    "dashscope._functions.function",
    "dashscope._predictions.run",
)


class AsyncClient:
    """The Dashscope HTTP API for `async` code.

    One client serves a whole program: it keeps its connections, is safe to share between
    tasks, threads and event loops, and costs nothing before its first request.

    ```python
    async with AsyncClient() as client:
        output = await client.run("dashscope/hello-world", {"text": "Alice"})
    ```

    Args:
        api_token: the API token, by default `DASHSCOPE_API_TOKEN`. It goes to the base URL's
            origin and to `trusted_hosts`, never elsewhere, and not to the default address.
        base_url: the API's address, by default `DASHSCOPE_BASE_URL`, else that of the local
            server, `http://127.0.0.1:3274/v1`.
        timeout: seconds that one request may take, with its retries; `None` for no bound.
        max_retries: how often a request is retried at the most.
        max_connections: how many connections are open at once; further requests wait.
        max_response_bytes: the largest answer that is read into memory.
        user_agent: the name of your application, put before ours in `User-Agent`.
        headers: headers for each request.
        event_hooks: `{"request": [...], "response": [...]}`: functions (or coroutine functions)
            called with each `Request` and each `Response` of the API; a request hook may return
            a changed `Request`. The `Response` of a download or a stream has no content: its
            body is read afterwards.
        proxy: the URL of a proxy; by default the proxy environment variables count.
        verify: whether to verify certificates, or an `ssl.SSLContext`.
        http2: whether to speak HTTP/2 where the server does (extra `http2`).
        trusted_hosts: further hosts that get the token, over https: `host` or `*.host`.
        use_file_output: whether `run()` turns URLs in outputs into file outputs.
        http_client: A function that creates an `httpx.AsyncClient` (or `httpx2.AsyncClient`) to
            send requests with, such as `httpx.AsyncClient` itself. It is called once for each
            event loop and process, and what it returns is closed with this client. A ready-made
            client is accepted too. It belongs to the event loop and process of its first use,
            and you close it.

    Raises:
        ConfigurationError: when a token is missing or unusable, or an address is.
    """

    def __init__(
        self,
        api_token: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        user_agent: str | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        proxy: str | None = None,
        verify: bool | ssl.SSLContext = True,
        http2: bool = False,
        trusted_hosts: Sequence[str] = (),
        use_file_output: bool = True,
        http_client: protocols.AsyncHTTPClient
        | Callable[[], protocols.AsyncHTTPClient]
        | None = None,
    ) -> None:
        token = Token.given(api_token)
        del api_token  # a traceback with variables would show it
        config = _config.load(
            api_token=token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            max_connections=max_connections,
            max_response_bytes=max_response_bytes,
            user_agent=user_agent,
            headers=headers,
            event_hooks=event_hooks,
            proxy=proxy,
            verify=verify,
            http2=http2,
            trusted_hosts=trusted_hosts,
            use_file_output=use_file_output,
        )
        from dashscope._runtime.async_runtime import AsyncRuntime
        from dashscope._transport.async_transport import AsyncTransport

        runtime = AsyncRuntime()
        self._api = Requestor(config, runtime, AsyncTransport(config, runtime, http_client))
        self._schemas: _functions.Schemas = {}

    @cached_property
    def account(self) -> resources.AsyncAccountResource:
        """The account that the token belongs to."""
        from dashscope.resources.account import AsyncAccountResource

        return AsyncAccountResource(self._api)

    @cached_property
    def collections(self) -> resources.AsyncCollections:
        """Collections of models."""
        from dashscope.resources.collections import AsyncCollections

        return AsyncCollections(self._api)

    @cached_property
    def deployments(self) -> resources.AsyncDeployments:
        """Deployments, and predictions by them."""
        from dashscope.resources.deployments import AsyncDeployments

        return AsyncDeployments(self._api)

    @cached_property
    def files(self) -> resources.AsyncFiles:
        """Uploaded files."""
        from dashscope.resources.files import AsyncFiles

        return AsyncFiles(self._api)

    @cached_property
    def hardware(self) -> resources.AsyncHardwareResource:
        """The hardware that models can run on."""
        from dashscope.resources.hardware import AsyncHardwareResource

        return AsyncHardwareResource(self._api)

    @cached_property
    def models(self) -> resources.AsyncModels:
        """Models, their versions, examples and readmes, and predictions by them."""
        from dashscope.resources.models import AsyncModels

        return AsyncModels(self._api)

    @cached_property
    def predictions(self) -> resources.AsyncPredictions:
        """Predictions."""
        from dashscope.resources.predictions import AsyncPredictions

        return AsyncPredictions(self._api)

    @cached_property
    def trainings(self) -> resources.AsyncTrainings:
        """Trainings."""
        from dashscope.resources.trainings import AsyncTrainings

        return AsyncTrainings(self._api)

    @cached_property
    def webhooks(self) -> resources.AsyncWebhooks:
        """The secret that webhooks are signed with."""
        from dashscope.resources.webhooks import AsyncWebhooks

        return AsyncWebhooks(self._api)

    async def run(
        self,
        ref: str,
        input: Mapping[str, Any],
        *,
        wait: int | None = None,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Prediction], object] | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
        cancel_on_exit: bool = True,
    ) -> Any:
        """Run a model and wait for its output.

        When the call ends before the prediction does (a cancellation, the time-out, another
        exception), the prediction is cancelled on the server, and the exception goes on.

        Args:
            ref: the model, `owner/name`, or one version of it, `owner/name:version`.
            input: the model's inputs; files in it (paths, bytes, open files) are sent along.
            wait: seconds (1 to 60) for which the server holds the answer to the create back,
                rather than being asked again. Cancelled in that time, the prediction's id is not
                known, and it goes on unless there is a `timeout`.
            poll_interval: seconds between two looks; by default a tenth of the time waited, from
                0.1 to 0.5 s.
            timeout: seconds that the call may take, by default as many as the model does. The
                server is told, and stops 5 s later by itself.
            progress: called with the prediction when it is created, at each look and when it
                is finished.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.
            file_encoding: how files are sent: `data-uri` (in the request), `upload`, or `auto`:
                those up to 256 KiB in the request.
            use_file_output: whether URLs in the output become file outputs; by default as the
                client says.
            cancel_on_exit: `False` leaves the prediction running when the call ends early.

        Returns:
            The output: whatever JSON the model makes, with an `AsyncFileOutput` (a `str`) for
            each URL.

        Raises:
            ModelError: when the model failed.
            PredictionCanceledError: when somebody cancelled the prediction.
            PredictionTimeoutError: when `timeout` passed.
            PredictionError: when the service has removed the output.
            NotFoundError: when there is no such model.
            UnprocessableEntityError: when the input is not what the model takes.

        ```python
        output = await client.run("dashscope/hello-world", {"text": "Alice"}, timeout=60)
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET /predictions/{prediction_id}`.
        """
        from dashscope._predictions import run

        return await run.run(
            self._api,
            ref,
            input,
            wait=wait,
            poll_interval=poll_interval,
            timeout=timeout,
            progress=progress,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            file_encoding=file_encoding,
            use_file_output=use_file_output,
            cancel_on_exit=cancel_on_exit,
        )

    def stream(
        self,
        ref: str,
        input: Mapping[str, Any],
        *,
        timeout: float | None = None,
        stall_timeout: float = STALL_TIMEOUT,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
        cancel_on_exit: bool = True,
    ) -> _predictions.AsyncEventStream:
        """Run a model and stream its output as it comes.

        The prediction is created when the stream is entered. When it is left before its end, in
        whatever way, the prediction is cancelled on the server. Where the connection breaks, it
        is made again, and nothing is given twice or left out.

        Args:
            ref: the model, `owner/name`, or one version of it, `owner/name:version`.
            input: the model's inputs; files in it (paths, bytes, open files) are sent along.
            timeout: seconds that the stream may take, by default as many as the model does. The
                server is told, and stops 5 s later by itself.
            stall_timeout: seconds without a byte after which the connection is made again.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.
            file_encoding: how files are sent: `data-uri` (in the request), `upload`, or `auto`:
                those up to 256 KiB in the request.
            use_file_output: whether URLs in the output become file outputs; by default as the
                client says.
            cancel_on_exit: `False` leaves the prediction running when the stream is left early.

        Returns:
            A stream, to be opened by `async with`. `str(event)` is the text of an output event;
            `stream.prediction` is the prediction, and `await stream.result()` its end.

        Raises:
            StreamError: when the model does not stream, or something is missing that nothing
                can fill.
            ModelError: when the model failed.
            PredictionTimeoutError: when `timeout` passed.

        ```python
        async with client.stream("dashscope/countdown", {"start": 3}) as stream:
            async for event in stream:
                print(str(event), end="")
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET` of the prediction's `urls.stream`.
        """
        from dashscope._predictions import run

        return run.stream(
            self._api,
            ref,
            input,
            timeout=timeout,
            stall_timeout=stall_timeout,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            file_encoding=file_encoding,
            use_file_output=use_file_output,
            cancel_on_exit=cancel_on_exit,
        )

    def use(
        self,
        ref: str,
        *,
        timeout: float | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
    ) -> _functions.AsyncModelFunction:
        """A model as a function, which knows its inputs and checks them.

        Nothing is asked before the first call, and the model's schema once: the client keeps it
        for all functions of the same `ref`. So this may stand at module level as well as in a
        function that is called often.

        Args:
            ref: the model, `owner/name`, or one version of it, `owner/name:version`.
            timeout: seconds that a call or a stream may take, by default as many as the model
                does. What `create()` made is cancelled by the server after as many, 5 or more.
            webhook: an http(s) URL that the server tells of events; not for `map()`.
            webhook_events_filter: of which events, by default of all.
            file_encoding: how files are sent: `data-uri` (in the request), `upload`, or `auto`:
                those up to 256 KiB in the request.
            use_file_output: whether URLs in the output become file outputs; by default as the
                client says.

        Returns:
            The function: `await model(text="Alice")`, and its `stream()`, `map()` and `create()`.

        ```python
        hello = client.use("dashscope/hello-world")
        print(await hello(text="Alice"), await hello(text="Bob"))
        ```

        Endpoint: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}`, then as `run()`,
        `stream()` and `map()`.
        """
        from dashscope._functions.function import AsyncModelFunction

        return AsyncModelFunction(
            self._api,
            self._schemas,
            ref,
            timeout=timeout,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            file_encoding=file_encoding,
            use_file_output=use_file_output,
        )

    def map(
        self,
        ref: str,
        inputs: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 32,
        ordered: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: _batch.Resume = "yield",
        on_error: _batch.OnError = "yield",
        on_unknown: _batch.OnUnknown = "error",
        max_rate: float | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        timeout: float | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
        poll_interval: float | None = None,
    ) -> _batch.AsyncBatch:
        """Run a model over many inputs, and give each result as it comes.

        Inputs are read when they are needed, so they may be without end. When the server says
        429, all slow down together. When the block is left early, in whatever way, what was
        created and is not over is cancelled on the server.

        With a `checkpoint`, the same call goes on where the last one stopped, also after
        `kill -9`: no prediction is created twice. The file keeps how each prediction ended; a row
        that has none (the input was refused, say), and one that was cancelled because the block
        was left or its `timeout` passed, is tried again. Files in inputs are recognized by name
        and content.

        Args:
            ref: the model, `owner/name`, or one version of it, `owner/name:version`.
            inputs: mappings of the model's inputs: an iterable or async iterable.
            concurrency: how many predictions are in flight at the most. No more than twice as
                many rows (four times, where `ordered`) are in memory.
            ordered: whether results come in the order of the inputs.
            checkpoint: the path of a file, which is made where it is missing.
            resume: what becomes of rows that are over by the checkpoint: `yield` gives their
                results again, `skip` leaves them out.
            on_error: `raise` raises the first error of a row; by default it is in its result.
            on_unknown: what becomes of a row of which nobody can tell whether it was created,
                because the process was killed just then and the server's list has no inputs: an
                `error`, or `recreate`.
            max_rate: how many predictions are created per second at the most.
            progress: called with a `BatchProgress` a few times per second, and at the end.
            timeout: seconds that one prediction may take, by default as many as the model does.
            file_encoding: how files are sent: `data-uri` (in the request), `upload`, or `auto`:
                those up to 256 KiB in the request.
            use_file_output: whether URLs in the outputs become file outputs; by default as the
                client says.
            poll_interval: seconds between two looks at what runs; by default a tenth of what a
                prediction takes, from 0.1 to 0.5 s, more where the list has many pages.

        Returns:
            A batch, to be opened by `async with`. It gives a `BatchResult` for each input:
            `index`, `input`, `output` or `error`, and the `prediction`.

        Raises:
            CheckpointError: when the checkpoint is in use, not one, or one of other inputs; by
                the `async with` or while iterating.

        ```python
        inputs = ({"text": name} for name in ("Alice", "Bob"))
        async with client.map("dashscope/hello-world", inputs, checkpoint="run.sqlite") as results:
            async for result in results:
                print(result.index, result.output if result.ok else result.error)
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET /predictions`, a page for up to 100 predictions, and where
        that does not show one, `GET /predictions/{prediction_id}`.
        """
        from dashscope._batch import options
        from dashscope._batch.batch import AsyncBatch

        use_file_output = self._api.resolve_use_file_output(use_file_output)
        if progress is not None:
            self._api.runtime.check_callback("progress", progress)
        checked = options.check(
            ref,
            concurrency=concurrency,
            ordered=ordered,
            checkpoint=checkpoint,
            resume=resume,
            on_error=on_error,
            on_unknown=on_unknown,
            max_rate=max_rate,
            progress=progress,
            timeout=timeout,
            file_encoding=file_encoding,
            use_file_output=use_file_output,
            poll_interval=poll_interval,
        )
        return AsyncBatch(self._api, inputs, checked)

    @overload
    async def wait(
        self,
        prediction: types.Prediction | str,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Prediction], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Prediction: ...
    @overload
    async def wait(
        self,
        prediction: types.Training,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Training], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Training: ...
    async def wait(
        self,
        prediction: types.Prediction | types.Training | str,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[Any], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Prediction | types.Training:
        """Wait until a prediction or training is over, in whatever way.

        Args:
            prediction: the prediction or training; an id means a prediction.
            poll_interval: seconds between two looks; by default a tenth of the time waited, from
                0.1 to 0.5 s.
            timeout: seconds to wait at the most, by default as long as it takes.
            progress: called with the prediction at each look.
            cancel_on_exit: whether to cancel it when the wait ends before it does. By
                default it goes on: whoever created it decides.

        Returns:
            Its last state, whether it `succeeded`, `failed` or was `canceled`.

        Raises:
            PredictionTimeoutError: when it was not over within `timeout`.
            PredictionError: when the service has removed its output.

        ```python
        prediction = await client.wait(prediction, timeout=60)
        print(prediction.status, prediction.output)
        ```

        Endpoint: `GET /predictions/{prediction_id}` or `GET /trainings/{training_id}`, as often
        as needed.
        """
        from dashscope._predictions import run

        return await run.wait(
            self._api,
            prediction,
            poll_interval=poll_interval,
            timeout=timeout,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
        )

    def paginate(
        self, method: Callable[..., Awaitable[types.Page[T]]], *args: Any, **kwargs: Any
    ) -> AsyncGenerator[types.Page[T], None]:
        """Go through the pages of a list.

        Args:
            method: a `list` (or `search`) of a resource.
            args: what it is called with.
            kwargs: what it is called with by name.

        Returns:
            An async generator of `Page`s.

        ```python
        async for page in client.paginate(client.predictions.list):
            print([prediction.id for prediction in page])
        ```
        """
        if not callable(method):
            raise TypeError(
                f"paginate() takes a method such as client.predictions.list, not {shown(method)}"
            )
        from dashscope._api.pagination import Pages

        return Pages(partial(self._api.runtime.call, method, *args), kwargs)

    def iterate(
        self,
        method: Callable[..., Awaitable[types.Page[T]]],
        *args: Any,
        max_items: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[T, None]:
        """Go through the items of a list, page after page.

        Args:
            method: a `list` (or `search`) of a resource.
            args: what it is called with.
            max_items: after how many items to stop, by default never.
            kwargs: what it is called with by name.

        Returns:
            An async generator of the items.

        ```python
        async for prediction in client.iterate(client.predictions.list, max_items=10):
            print(prediction.id, prediction.status)
        ```
        """
        if max_items is not None:
            check_count("max_items", max_items, least=0)
        from dashscope._api.pagination import Items

        return Items(self.paginate(method, *args, **kwargs), max_items)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        json: Any = None,
        content: bytes | str | None = None,
        files: Mapping[str, _files.FileContent] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Make a request to the API that no method here makes, with the same care.

        Args:
            method: the HTTP method.
            path: the path below the base URL, `/account` say; or a whole URL, which gets the
                token only where the rules let it.
            params: the query; `None` values are left out.
            json: the body as JSON.
            content: the body as bytes or text.
            files: the files of a multipart body, by the names of its parts.
            headers: further headers.
            timeout: seconds the request may take, with its retries; by default the client's.

        Raises:
            APIStatusError: for an error of the server's.
            APIConnectionError: when no answer came.

        ```python
        response = await client.request("GET", "/account")
        print(response.json()["username"])
        ```
        """
        from dashscope.resources._request import request

        return await request(
            self._api,
            method,
            path,
            params=params,
            json=json,
            content=content,
            files=files,
            headers=headers,
            timeout=timeout,
        )

    async def search(self, query: str, *, limit: int | None = None) -> types.SearchResults:
        """Search models, collections and pages of the documentation.

        Args:
            query: what to look for.
            limit: how many models to give at the most, 1 to 50, by default 20.

        ```python
        results = await client.search("hello", limit=5)
        print([found.model.name for found in results.models or ()])
        ```

        Endpoint: `GET /search`.
        """
        from dashscope.resources.search import search

        return await search(self._api, query, limit=limit)

    def with_options(
        self,
        *,
        timeout: float | None = UNCHANGED,
        max_retries: int = UNCHANGED,
        headers: Mapping[str, str] = UNCHANGED,
    ) -> Self:
        """The same client and connections, with other options.

        Args:
            timeout: seconds that one request may take, with its retries; `None` for no bound.
            max_retries: how often a request is retried at the most.
            headers: headers for each request, beside those of this client.

        Returns:
            A client that shares the connections: closing either closes both.

        ```python
        patient = client.with_options(timeout=600, max_retries=10)
        ```
        """
        changes: dict[str, Any] = {}
        if timeout is not UNCHANGED:
            changes["timeout"] = check_timeout(timeout)
        if max_retries is not UNCHANGED:
            changes["max_retries"] = check_count("max_retries", max_retries, least=0)
        if headers is not UNCHANGED:
            changes["headers"] = merged(self._api.config.headers, _config.check_headers(headers))
        view = copy_without_cached(self)
        view._api = self._api.with_config(**changes)
        return view

    async def aclose(self) -> None:
        """Close the connections; later requests are refused.

        What runs, streams and batches have under way is cancelled on the server.
        """
        try:
            await self._api.state.close(self._api.runtime)
            await self._api.runtime.aclose()
        finally:
            await self._api.transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_api"):  # its making failed, and a traceback shows its variables
            return object.__repr__(self)
        return f"AsyncClient(base_url={self._api.config.base_url!r})"

    def __reduce__(self) -> str:
        raise TypeError("a client is not pickled: make one in the process that uses it")


AsyncClient.__module__ = "dashscope"


def driven_client(
    to_sync: Callable[[Any], Any],
    api_token: Token | None,
    *,
    http_client: protocols.HTTPClient | Callable[[], protocols.HTTPClient] | None,
    **options: Any,
) -> AsyncClient:
    """An `AsyncClient` whose coroutines never suspend: what `Client` drives."""
    from dashscope._runtime.sync_runtime import SyncRuntime
    from dashscope._transport.sync_transport import SyncTransport

    config = _config.load(api_token=api_token, **options)
    runtime = SyncRuntime(to_sync)
    client = AsyncClient.__new__(AsyncClient)
    requestor = Requestor(config, runtime, SyncTransport(config, runtime, http_client))
    vars(client).update(_api=requestor, _schemas={})
    return client
