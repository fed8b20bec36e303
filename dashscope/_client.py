"""`AsyncClient`: signatures and docstrings of what users call. The methods delegate."""

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
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar, overload

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
            "raw",
            "_request",
        )
    ),
    "dashscope._api.pagination",
    "dashscope._batch.batch",
    "dashscope._batch.options",
    "dashscope._files.file_output",
    "dashscope._functions.function",
    "dashscope._functions.name_check",
    "dashscope._predictions.files",
    "dashscope._predictions.run",
)


NOT_COPIED: Final = (
    "clients cannot be copied. Share the client: it serves all tasks and threads of a program. For "
    "other options, use client.with_options(...)"
)


class AsyncClient:
    """The client of the Dashscope HTTP API for `async` code.

    One client serves a whole program. It keeps connections open between requests, can be shared
    between tasks, threads and event loops, and connects only when a request is sent.

    A client without an explicit token, headers, hooks, `http_client`, SSL context or password can
    be pickled. It reads the token from the environment of the process that unpickles it.

    Args:
        api_token: The API token. Defaults to `DASHSCOPE_API_TOKEN`. The token is sent only to the
            origin of `base_url` and to `trusted_hosts`, and never to the default local address.
        base_url: The address of the API. Defaults to `DASHSCOPE_BASE_URL`, then to the local
            server's `http://127.0.0.1:3274/v1`.
        timeout: Seconds that one request may take, including retries. `None` means no limit.
        max_retries: How often a request is retried at most.
        max_connections: How many connections may be open at once. Further requests wait.
        max_response_bytes: The size of the largest response that is read into memory.
        user_agent: The name of your application, put first in the `User-Agent` header.
        headers: Headers to send with every request.
        event_hooks: `{"request": [...], "response": [...]}`: functions (or coroutine functions)
            called with each `Request` and each `Response`. A request hook may return a changed
            `Request`. The `Response` of a download or stream has no content, because its body is
            read later.
        proxy: The URL of a proxy. Defaults to the proxy environment variables.
        verify: Whether to verify certificates, or an `ssl.SSLContext`.
        http2: Whether to use HTTP/2 if the server supports it. Requires the extra `http2`.
        trusted_hosts: Further hosts that may receive the token over https: `host` or `*.host`.
        use_file_output: Whether URLs in outputs become file outputs.
        http_client: A function that creates the `httpx.AsyncClient` (or `httpx2.AsyncClient`) to
            send requests with, such as `httpx.AsyncClient` itself. The function is called once per
            event loop and process, and its result is closed with this client. A ready-made client
            is accepted too: it belongs to the event loop and process of its first use, and you
            close it.

    Raises:
        ConfigurationError: If the token is missing or malformed, or a setting cannot work.

    Example:
        ```python
        async with AsyncClient() as client:
            output = await client.run("dashscope/hello-world", {"text": "Alice"})
        ```
    """

    # sync doc: API for `async` code -> API
    # sync doc: between tasks, threads and event loops -> between threads
    # sync doc: functions (or coroutine functions) -> functions
    # sync doc: once per event loop and process -> once per process
    # sync doc: event loop and process of its first use -> process that first uses it

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
        del api_token  # tracebacks that show variables must not show the token
        options: dict[str, Any] = {
            "base_url": base_url,
            "timeout": timeout,
            "max_retries": max_retries,
            "max_connections": max_connections,
            "max_response_bytes": max_response_bytes,
            "user_agent": user_agent,
            "headers": headers,
            "event_hooks": event_hooks,
            "proxy": proxy,
            "verify": verify,
            "http2": http2,
            "trusted_hosts": trusted_hosts,
            "use_file_output": use_file_output,
        }
        config = _config.load(api_token=token, **options)
        from dashscope._runtime.async_runtime import AsyncRuntime
        from dashscope._transport.async_transport import AsyncTransport

        runtime = AsyncRuntime()
        self._api = Requestor(config, runtime, AsyncTransport(config, runtime, http_client))
        self._schemas: _functions.Schemas = {}
        self._options = {**options, "api_token": token, "http_client": http_client}

    @cached_property
    def account(self) -> resources.AsyncAccountResource:
        """The account that the token belongs to."""
        from dashscope.resources.account import AsyncAccountResource

        return AsyncAccountResource(self._api)

    @cached_property
    def collections(self) -> resources.AsyncCollections:
        """Collections: curated groups of models."""
        from dashscope.resources.collections import AsyncCollections

        return AsyncCollections(self._api)

    @cached_property
    def deployments(self) -> resources.AsyncDeployments:
        """Deployments, and predictions that run on them."""
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
        """Models: versions, examples, readmes, and predictions by model name."""
        from dashscope.resources.models import AsyncModels

        return AsyncModels(self._api)

    @cached_property
    def predictions(self) -> resources.AsyncPredictions:
        """Predictions: runs of a model."""
        from dashscope.resources.predictions import AsyncPredictions

        return AsyncPredictions(self._api)

    @cached_property
    def trainings(self) -> resources.AsyncTrainings:
        """Trainings: runs that create a new version of a model."""
        from dashscope.resources.trainings import AsyncTrainings

        return AsyncTrainings(self._api)

    @cached_property
    def webhooks(self) -> resources.AsyncWebhooks:
        """The secret that signs webhooks."""
        from dashscope.resources.webhooks import AsyncWebhooks

        return AsyncWebhooks(self._api)

    @cached_property
    def with_raw_response(self) -> resources.AsyncRawClient:
        """The operations of the resources, which return the HTTP response with its value.

        `client.with_raw_response.predictions.get(id)` returns a `RawResponse` with the status, the
        headers, the request id and the rate limit. Its `parse()` returns the prediction.
        """
        from dashscope.resources.raw import AsyncRawClient

        return AsyncRawClient(self._api)

    async def run(
        self,
        ref: str,
        input: Mapping[str, Any] | None = None,
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

        If the call ends before the prediction finishes (because of a cancellation, the timeout or
        another exception), the prediction is canceled on the server, and the exception is raised.

        Args:
            ref: The model, as `owner/name` or `owner/name:version`.
            input: The model's inputs, by default none: a mapping, or an object with fields, such as
                a pydantic model, a dataclass or a row of a data frame. Files in it (paths, bytes,
                open binary files, Pillow images, matplotlib figures) are sent along. Arrays,
                series, sets, iterators, `Decimal`, `UUID`, `date`, `datetime`, `Enum`, and `NaT`
                and `NA` of pandas are converted to JSON.
            wait: Seconds (1 to 60) for the server to wait for the output before it answers the
                create request, instead of polling. If the call is canceled during that time, the
                id of the prediction is unknown, and the prediction keeps running unless `timeout`
                is set.
            poll_interval: Seconds between polls. Setting `poll_interval` or `progress` makes the
                call poll instead of listening to the prediction's stream. Defaults to a tenth of
                the elapsed time, between 0.1 and 0.5 s.
            timeout: Seconds that the call may take. Defaults to no limit. The server is told to
                cancel the prediction 5 s later, in case this process cannot.
            progress: A function called with the prediction after it is created, after each poll,
                and when it finishes.
            webhook: An http(s) URL that the server sends events to.
            webhook_events_filter: The events to send. Defaults to all.
            file_encoding: How to send files: `data-uri` (inside the request), `upload`, or `auto`,
                which sends files up to 256 KiB inside the request and uploads larger ones.
            use_file_output: Whether URLs in the output become file outputs. Defaults to the
                client's setting.
            cancel_on_exit: Whether to cancel the prediction if the call ends early.

        Returns:
            The output: any JSON value that the model returns, with an `AsyncFileOutput` (a `str`)
            in place of each URL.

        Raises:
            ModelError: If the model fails.
            PredictionCanceledError: If the prediction is canceled by someone else.
            PredictionTimeoutError: If `timeout` passes first.
            PredictionError: If the service has removed the output.
            NotFoundError: If there is no such model.
            UnprocessableEntityError: If the input does not match the model's schema.

        Example:
            ```python
            output = await client.run("dashscope/hello-world", {"text": "Alice"}, timeout=60)
            ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or `POST /predictions`,
        then `GET` of the prediction's `urls.stream` and `GET /predictions/{prediction_id}`.
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
        input: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        stall_timeout: float = STALL_TIMEOUT,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
        cancel_on_exit: bool = True,
    ) -> _predictions.AsyncEventStream:
        """Run a model and stream its output.

        Entering the stream creates the prediction. Exiting the stream before its end cancels the
        prediction on the server. If the connection breaks, the stream reconnects without repeating
        or losing events.

        Args:
            ref: The model, as `owner/name` or `owner/name:version`.
            input: The model's inputs, by default none, as for `run()`.
            timeout: Seconds that the stream may take. Defaults to no limit. The server is told to
                cancel the prediction 5 s later, in case this process cannot.
            stall_timeout: Seconds without a byte after which the stream reconnects.
            webhook: An http(s) URL that the server sends events to.
            webhook_events_filter: The events to send. Defaults to all.
            file_encoding: How to send files: `data-uri` (inside the request), `upload`, or `auto`,
                which sends files up to 256 KiB inside the request and uploads larger ones.
            use_file_output: Whether URLs in the output become file outputs. Defaults to the
                client's setting.
            cancel_on_exit: Whether to cancel the prediction if the stream exits before its end.

        Returns:
            A stream, for use with `async with`. `str(event)` is the text of an output event.
            `stream.prediction` is the prediction, and `await stream.result()` waits for its final
            state.

        Raises:
            StreamError: If the model does not stream, or a part of the output was lost.
            ModelError: If the model fails.
            PredictionTimeoutError: If `timeout` passes first.

        Example:
            ```python
            async with client.stream("dashscope/countdown", {"start": 3}) as stream:
                async for event in stream:
                    print(str(event), end="")
            ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or `POST /predictions`,
        then `GET` of the prediction's `urls.stream`.
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
        progress: Callable[[types.Prediction], object] | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
    ) -> _functions.AsyncModelFunction:
        """Return a model as a function that knows and checks its inputs.

        The first call fetches the model's schema. The client keeps the schema for all functions of
        the same `ref`, so `use()` is cheap to call, at module level or in a function.

        Args:
            ref: The model, as `owner/name` or `owner/name:version`.
            timeout: Seconds that a call or a stream may take. Defaults to no limit. The server
                cancels a prediction of `create()` after that time, or after 5 s if that is longer.
            progress: A function that each call of the model calls with the prediction when it
                changes. `stream()`, `create()` and `map()` do not call it.
            webhook: An http(s) URL that the server sends events to. Not available for `map()`.
            webhook_events_filter: The events to send. Defaults to all.
            file_encoding: How to send files: `data-uri` (inside the request), `upload`, or `auto`,
                which sends files up to 256 KiB inside the request and uploads larger ones.
            use_file_output: Whether URLs in the output become file outputs. Defaults to the
                client's setting.

        Returns:
            The function: `await model(text="Alice")`, with `stream()`, `map()` and `create()`.

        Raises:
            ValueError: If an argument is invalid. Errors of the server are raised by the calls.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            print(await hello(text="Alice"), await hello(text="Bob"))
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}`, then those of `run()`,
        `stream()` and `map()`.
        """
        from dashscope._functions.function import AsyncModelFunction

        return AsyncModelFunction(
            self._api,
            self._schemas,
            ref,
            timeout=timeout,
            progress=progress,
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
        max_rate: float | _batch.SharedRate | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        timeout: float | None = None,
        file_encoding: _files.FileEncoding = "auto",
        use_file_output: bool | None = None,
        poll_interval: float | None = None,
    ) -> _batch.AsyncBatch:
        """Run a model over many inputs, and yield each result when it is ready.

        Inputs are read only as needed, so `inputs` may be infinite. Concurrency backs off on a 429
        and recovers as requests succeed. Exiting the block early cancels all unfinished predictions
        on the server.

        With a `checkpoint`, the same call resumes where the last run stopped, even after `kill -9`,
        and creates no prediction twice. The file records how each prediction ended. Rows without a
        prediction (because the input was refused, for example) and rows that were canceled by an
        early exit or by `timeout` are retried. Files in inputs are identified by name and content.

        Args:
            ref: The model, as `owner/name` or `owner/name:version`.
            inputs: The inputs of each row: an iterable or async iterable of mappings, or a table of
                pandas, Polars, Arrow or Hugging Face `datasets`. Missing values of a table, such as
                NaN, are omitted from the input.
            concurrency: How many predictions may be in flight. At most twice as many rows are kept
                in memory (four times if `ordered`).
            ordered: Whether to yield results in the order of the inputs.
            checkpoint: The path of a checkpoint file, the path of a folder (an existing one, or a
                path that ends in `/`), or the URL of a PostgreSQL database (`postgresql://...`).
                It is created if it does not exist. Processes and machines can share a folder or a
                database, where rows are recognized by their inputs, in any order.
            resume: What to do with rows that the checkpoint lists as finished: `yield` yields their
                results again, `skip` omits them. `False` creates all rows again, which requires a
                folder or a database.
            on_error: `yield` puts the error of a row into its result. `raise` raises the first one.
            on_unknown: What to do with a row whose prediction may have been created just before the
                process was killed, if the server's list omits the inputs: `error` or `recreate`.
            max_rate: How many predictions to create per second at most: a number, or an object with
                `acquire(count)`, which several batches share. See
                `dashscope.integrations.postgres.shared_rate()`. An optional `back_off(seconds)` is
                called after a 429.
            progress: A function called with a `BatchProgress` a few times per second, and at the
                end.
            timeout: Seconds that each prediction may take. Defaults to no limit.
            file_encoding: How to send files: `data-uri` (inside the request), `upload`, or `auto`,
                which sends files up to 256 KiB inside the request and uploads larger ones.
            use_file_output: Whether URLs in the outputs become file outputs. Defaults to the
                client's setting.
            poll_interval: Seconds between polls. Defaults to a tenth of the time that a prediction
                takes, between 0.1 and 0.5 s, or more if the list has many pages.

        Returns:
            A batch, for use with `async with`. It yields one `BatchResult` per input, with `index`,
            `input`, `output` or `error`, and `prediction`. A row with an input that the model does
            not have gets an error and is not sent.

        Raises:
            CheckpointError: If the checkpoint is in use, is not a checkpoint, or belongs to other
                inputs. Raised by `async with` or while iterating.
            ValueError: If an argument is invalid.

        Example:
            ```python
            inputs = ({"text": name} for name in ("Alice", "Bob"))
            batch = client.map("dashscope/hello-world", inputs, checkpoint="run.sqlite")
            async with batch as results:
                async for result in results:
                    print(result.index, result.output if result.ok else result.error)
            ```

        Endpoints: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}` once, for the names of the
        inputs, `POST /models/{model_owner}/{model_name}/predictions` or `POST /predictions`,
        then `GET /predictions`, one page for up to 100 predictions, and
        `GET /predictions/{prediction_id}` for a prediction that the list does not contain.
        """
        # sync doc: an iterable or async iterable of -> an iterable of
        from dashscope._batch import options
        from dashscope._batch.batch import AsyncBatch
        from dashscope._common.urls import Reference
        from dashscope._functions.name_check import NameCheck
        from dashscope._functions.schema_cache import SchemaLoader

        use_file_output = self._api.resolve_use_file_output(use_file_output)
        if progress is not None:
            self._api.runtime.check_callback("progress", progress)
        loader = SchemaLoader(self._api, self._schemas, ref, Reference.parse(ref), timeout)
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
            check=NameCheck(loader),
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
        """Wait until a prediction or training finishes.

        Args:
            prediction: The prediction or training. An id means a prediction.
            poll_interval: Seconds between polls. Defaults to a tenth of the elapsed time, between
                0.1 and 0.5 s.
            timeout: Seconds to wait at most. Defaults to no limit.
            progress: A function called with the prediction after each poll.
            cancel_on_exit: Whether to cancel the prediction if the wait ends early. Defaults to
                leaving it running.

        Returns:
            The final state: `succeeded`, `failed` or `canceled`.

        Raises:
            PredictionTimeoutError: If the prediction is still running after `timeout` seconds.
            PredictionError: If the service has removed its output.
            NotFoundError: If there is no such prediction.

        Example:
            ```python
            prediction = await client.wait(prediction, timeout=60)
            print(prediction.status, prediction.output)
            ```

        Endpoint: `GET /predictions/{prediction_id}` or `GET /trainings/{training_id}`, repeatedly.
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

    async def files_of(
        self, prediction: types.Prediction | types.Training | str
    ) -> list[_files.AsyncFileOutput]:
        """Return the file outputs of any prediction.

        Use it for predictions from `predictions.get()`, `wait()`, a list or a webhook, whose output
        contains plain URLs.

        Args:
            prediction: The prediction or training. An id means a prediction.

        Returns:
            The files, in the order of the output: `str` objects with `read()`, `save(path)` and
            `iter_bytes()`. Empty if the output contains no URL. Nothing is requested, unless
            `prediction` is an id or comes from a list that omits its output.

        Raises:
            PredictionError: If the service has removed the output.
            NotFoundError: If there is no such prediction.

        Example:
            ```python
            for file in await client.files_of(prediction):
                await file.save("downloads/")
            ```

        Endpoint: `GET /predictions/{prediction_id}`, if the output is not known.
        """
        from dashscope._predictions.files import files_of

        return await files_of(self._api, prediction)

    async def download(
        self, url: str, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> Path:
        """Save an output URL to disk.

        The file gets its final name only when it is complete. If the connection breaks, the
        download requests the rest.

        Args:
            url: An http or https URL, or a data URI. The token is sent only to the API's own origin
                and to `trusted_hosts`.
            path: A file, or an existing folder (or a path that ends in a slash), in which the file
                gets the name that the server sends. `~` is the home folder.
            overwrite: Whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: If the file exists or cannot be written.
            APIStatusError: If the server responds with an error.
            APIConnectionError: If the connection breaks and the rest cannot be requested.

        Example:
            ```python
            output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
            path = await client.download(str(output), "downloads/")
            ```

        Endpoint: `GET` of the URL.
        """
        from dashscope._files.file_output import download

        return await download(self._api, url, path, overwrite=overwrite)

    def paginate(
        self, method: Callable[..., Awaitable[types.Page[T]]], *args: Any, **kwargs: Any
    ) -> AsyncGenerator[types.Page[T], None]:
        """Iterate over the pages of a list.

        Args:
            method: The `list` or `search` method of a resource.
            args: Positional arguments for the method.
            kwargs: Keyword arguments for the method.

        Returns:
            An async generator of `Page` objects. On trio, wrap it in `contextlib.aclosing()` if the
            loop may exit early.

        Raises:
            TypeError: If `method` is not callable, or does not return pages.

        Example:
            ```python
            async for page in client.paginate(client.predictions.list):
                print([prediction.id for prediction in page])
            ```

        Endpoint: the one of `method`, once per page.
        """
        # sync doc: On trio, wrap it in `contextlib.aclosing()` if the loop may exit early. ->
        # sync doc: An async generator of -> An iterator over
        if not callable(method):
            raise TypeError(
                f"method must be a method such as client.predictions.list, not {shown(method)}"
            )
        from dashscope._api.pagination import pages

        return pages(partial(self._api.runtime.call, method, *args), kwargs)

    def iterate(
        self,
        method: Callable[..., Awaitable[types.Page[T]]],
        *args: Any,
        max_items: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[T, None]:
        """Iterate over the items of a list, across its pages.

        Args:
            method: The `list` or `search` method of a resource.
            args: Positional arguments for the method.
            max_items: How many items to yield at most. Defaults to no limit.
            kwargs: Keyword arguments for the method.

        Returns:
            An async generator of the items. On trio, wrap it in `contextlib.aclosing()` if the loop
            may exit early.

        Raises:
            TypeError: If `method` is not callable, or does not return pages.
            ValueError: If `max_items` is negative.

        Example:
            ```python
            async for prediction in client.iterate(client.predictions.list, max_items=10):
                print(prediction.id, prediction.status)
            ```

        Endpoint: the one of `method`, once per page.
        """
        # sync doc: On trio, wrap it in `contextlib.aclosing()` if the loop may exit early. ->
        # sync doc: An async generator of the items -> An iterator over the items
        if max_items is not None:
            check_count("max_items", max_items, least=0)
        from dashscope._api.pagination import items

        return items(self.paginate(method, *args, **kwargs), max_items)

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
        """Send any request to the API, with the client's authentication, retries and limits.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as `/account`, or a whole URL. A whole URL of
                another origin receives the token only if its host is in `trusted_hosts`.
            params: The query parameters. Parameters that are `None` are omitted.
            json: The body, as a JSON value.
            content: The body, as bytes or text.
            files: The files of a multipart body, by part name.
            headers: Further headers.
            timeout: Seconds that the request may take, including retries. Defaults to the client's
                timeout.

        Returns:
            The response, with its body read.

        Raises:
            APIStatusError: If the server responds with an error.
            APIConnectionError: If no response arrives.

        Example:
            ```python
            response = await client.request("GET", "/account")
            print(response.json()["username"])
            ```

        Endpoint: any.
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
        """Search for models, collections and documentation pages.

        Args:
            query: The text to search for.
            limit: How many models to return at most, 1 to 50. Defaults to 20.

        Returns:
            The results, in `models`, `collections` and `pages`.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
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
        """Return a client with other options that shares the connections of this one.

        Args:
            timeout: Seconds that one request may take, including retries. `None` means no limit.
            max_retries: How often a request is retried at most.
            headers: Headers to send with every request, in addition to those of this client.

        Returns:
            A client of the same class. Closing either client closes both.

        Raises:
            ValueError: If an option is out of range.

        Example:
            ```python
            slow_client = client.with_options(timeout=600, max_retries=10)
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
        view._options = {**self._options, **changes}
        return view

    async def aclose(self) -> None:
        """Close the client and its connections. Later requests raise an error.

        Predictions of `run()`, `stream()` and `map()` that have not finished are canceled on the
        server.

        Example:
            ```python
            client = AsyncClient()
            try:
                output = await client.run("dashscope/hello-world", {"text": "Alice"})
            finally:
                await client.aclose()
            ```
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
        if not hasattr(self, "_api"):  # the constructor failed, and a traceback shows its variables
            return object.__repr__(self)
        return f"AsyncClient(base_url={self._api.config.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self._state_of(self)

    def _state_of(self, client: Any) -> dict[str, Any]:
        """Return the state of this client, or of the sync client that drives it, for a pickle."""
        copied: object = copy_without_cached(client)
        attributes = vars(copied)
        own = ("_api", "_schemas", "_options", "_async")
        return {
            "options": _config.picklable(self._options),
            "attributes": {name: attributes[name] for name in attributes if name not in own},
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        AsyncClient.__init__(self, **state["options"])
        vars(self).update(state["attributes"])

    def __copy__(self) -> NoReturn:
        raise TypeError(NOT_COPIED)

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise TypeError(NOT_COPIED)


AsyncClient.__module__ = "dashscope"


def driven_client(
    to_sync: Callable[[Any], Any],
    api_token: Token | None,
    *,
    http_client: protocols.HTTPClient | Callable[[], protocols.HTTPClient] | None,
    **options: Any,
) -> AsyncClient:
    """Return an `AsyncClient` whose coroutines never suspend, for `Client` to drive."""
    from dashscope._runtime.sync_runtime import SyncRuntime
    from dashscope._transport.sync_transport import SyncTransport

    config = _config.load(api_token=api_token, **options)
    runtime = SyncRuntime(to_sync)
    client = AsyncClient.__new__(AsyncClient)
    requestor = Requestor(config, runtime, SyncTransport(config, runtime, http_client))
    given = {**options, "api_token": api_token, "http_client": http_client}
    vars(client).update(_api=requestor, _schemas={}, _options=given)
    return client
