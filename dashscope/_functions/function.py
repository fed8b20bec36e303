"""`client.use()`: a model as a function that knows its inputs once its schema is fetched."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from dashscope import types
from dashscope._api.requestor import Requestor
from dashscope._batch import options
from dashscope._batch.batch import AsyncBatch
from dashscope._batch.options import OnError, OnUnknown, Resume
from dashscope._batch.permits import SharedRate
from dashscope._common.deadline import Deadline
from dashscope._common.urls import Reference
from dashscope._common.validation import check_timeout
from dashscope._config import STALL_TIMEOUT
from dashscope._files import inputs as input_files
from dashscope._files.inputs import FileEncoding
from dashscope._functions import check, json_schema, signature
from dashscope._functions.attributes import FunctionAttributes
from dashscope._functions.schema_cache import SchemaLoader, Schemas
from dashscope._predictions import run
from dashscope._predictions.create import WebhookEvent, cancel_after_for, check_webhook, creation
from dashscope._predictions.operations import send_creation
from dashscope._predictions.stream import AsyncEventStream
from dashscope.types.prediction import Prediction

MOMENT: Final = 0.001
"""The minimum timeout of a run, in seconds, if fetching the schema took all of the time."""
LONGEST_TOOL_NAME: Final = 64
"""The longest name of a tool that language models accept, in characters."""


class AsyncModelFunction(FunctionAttributes):
    """A model as a function: `client.use("owner/name")`, then `await model(prompt="...")`.

    The first call, or `load()`, fetches the model's schema. After that, the function has
    a signature, annotations and a docstring for the model's inputs, and works with any tool that
    takes a function. Arguments are checked before anything is sent.

    Example:
        ```python
        hello = client.use("dashscope/hello-world")
        output = await hello(text="Alice")
        ```
    """

    def __init__(
        self,
        api: Requestor,
        schemas: Schemas,
        ref: str,
        *,
        timeout: float | None,
        progress: Callable[[Prediction], object] | None,
        webhook: str | None,
        webhook_events_filter: Sequence[WebhookEvent] | None,
        file_encoding: FileEncoding,
        use_file_output: bool | None,
    ) -> None:
        check_webhook(webhook, webhook_events_filter)
        input_files.check_encoding(file_encoding)
        self._timeout = check_timeout(timeout)
        loader = SchemaLoader(api, schemas, ref, Reference.parse(ref), self._timeout)
        self._become_function(loader, AsyncModelFunction.__call__.__code__)
        if progress is not None:
            api.runtime.check_callback("progress", progress)
        self._progress = progress
        self._api = api
        self._ref = ref
        self._creation: dict[str, Any] = {
            "webhook": webhook,
            "webhook_events_filter": webhook_events_filter,
            "file_encoding": file_encoding,
        }
        self._use_file_output = use_file_output
        api.resolve_use_file_output(use_file_output)

    @property
    def ref(self) -> str:
        """The model, as `owner/name` or `owner/name:version`."""
        return self._ref

    async def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the model and wait for its output, like `client.run()`.

        Args:
            args: The first inputs by position, in the order of the signature.
            inputs: The model's inputs by name. Files in them (paths, bytes, open binary files) are
                sent along. `None` leaves out an optional input that does not take null.

        Returns:
            The output.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type.
            ValueError: If an input is out of bounds.
            ModelError: If the model fails.
            PredictionTimeoutError: If the function's `timeout` passes first.

        Example:
            ```python
            thumbnail = client.use("dashscope/thumbnail", timeout=60)
            output = await thumbnail(image=Path("photo.png"), width=64)
            output = await thumbnail(image=output, width=32)  # sends the URL, not the content
            ```

        Endpoints: those of `client.run()`.
        """
        deadline = Deadline.after(self._timeout)
        inputs = await self._inputs(args, inputs, deadline)
        return await run.run(
            self._api,
            self._ref,
            inputs,
            timeout=None if self._timeout is None else max(deadline.within(self._timeout), MOMENT),
            progress=self._progress,
            use_file_output=self._use_file_output,
            **self._creation,
        )

    def stream(self, /, *args: Any, **inputs: Any) -> AsyncEventStream:
        """Run the model and stream its output, like `client.stream()`.

        Args:
            args: The first inputs by position, in the order of the signature.
            inputs: The model's inputs by name.

        Returns:
            A stream, for use with `async with`. Entering the stream checks the inputs.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type. Raised on entering.
            ValueError: If an input is out of bounds. Raised on entering.

        Example:
            ```python
            async with client.use("dashscope/countdown").stream(start=3) as stream:
                async for event in stream:
                    print(str(event), end="")
            ```

        Endpoints: those of `client.stream()`.
        """
        return run.stream(
            self._api,
            self._ref,
            inputs,
            check=lambda deadline: self._inputs(args, inputs, deadline),
            timeout=self._timeout,
            stall_timeout=STALL_TIMEOUT,
            use_file_output=self._use_file_output,
            **self._creation,
        )

    async def create(self, /, *args: Any, **inputs: Any) -> Prediction:
        """Run the model. Returns as soon as the prediction is created.

        Args:
            args: The first inputs by position, in the order of the signature.
            inputs: The model's inputs by name.

        Returns:
            The prediction, usually still running.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type.
            ValueError: If an input is out of bounds.

        Example:
            ```python
            prediction = await client.use("dashscope/countdown").create(start=3)
            prediction = await client.wait(prediction)
            ```

        Endpoint: `POST /models/{model_owner}/{model_name}/predictions` or `POST /predictions`.
        """
        reference = self._loader.reference
        call = await creation(
            self._api,
            reference.path,
            version=reference.version,
            input=await self._inputs(args, inputs, Deadline.NEVER),
            cancel_after=cancel_after_for(self._timeout, margin=0.0),
            **self._creation,
        )
        return await send_creation(self._api, call)

    def map(
        self,
        inputs: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 32,
        ordered: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = "yield",
        on_error: OnError = "yield",
        on_unknown: OnUnknown = "error",
        max_rate: float | SharedRate | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        poll_interval: float | None = None,
    ) -> AsyncBatch:
        """Run the model over many inputs, and yield each result when it is ready.

        An input that does not match the model's schema becomes an error in its result and is not
        sent.

        Args:
            inputs: The inputs of each row: an iterable or async iterable of mappings.
            concurrency: How many predictions may be in flight.
            ordered: Whether to yield results in the order of the inputs.
            checkpoint: The path of a checkpoint file, the path of a folder (an existing one, or a
                path that ends in `/`), or the URL of a PostgreSQL database (`postgresql://...`).
                It is created if it does not exist. Processes and machines can share a folder or a
                database, where rows are recognized by their inputs, in any order.
            resume: What to do with rows that the checkpoint lists as finished: `yield` or `skip`.
                `False` creates all rows again, which requires a folder or a database.
            on_error: `yield` puts the error of a row into its result, `raise` raises the first one.
            on_unknown: What to do with a row that may have been created: `error` or `recreate`.
            max_rate: How many predictions to create per second at most: a number, or an object with
                `acquire(count)`, which several batches share. See
                `dashscope.integrations.postgres.shared_rate()`. An optional `back_off(seconds)` is
                called after a 429.
            progress: A function called with a `BatchProgress` a few times per second, and at the
                end.
            poll_interval: Seconds between polls.

        Returns:
            A batch, for use with `async with`.

        Raises:
            ValueError: If the function has a webhook, which a batch does not support.
            CheckpointError: If the checkpoint cannot be used. Raised by `async with`.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            async with hello.map({"text": name} for name in ("Alice", "Bob")) as results:
                async for result in results:
                    print(result.index, result.output)
            ```

        Endpoints: those of `client.map()`.
        """
        # sync doc: an iterable or async iterable of -> an iterable of
        if self._creation["webhook"] is not None:
            raise ValueError("map() does not support webhooks: call use() without a webhook")
        if progress is not None:
            self._api.runtime.check_callback("progress", progress)
        checked = options.check(
            self._ref,
            concurrency=concurrency,
            ordered=ordered,
            checkpoint=checkpoint,
            resume=resume,
            on_error=on_error,
            on_unknown=on_unknown,
            max_rate=max_rate,
            progress=progress,
            timeout=self._timeout,
            file_encoding=self._creation["file_encoding"],
            use_file_output=self._api.resolve_use_file_output(self._use_file_output),
            poll_interval=poll_interval,
            check=self._row,
        )
        return AsyncBatch(self._api, inputs, checked)

    async def load(self) -> None:
        """Fetch the model's schema, unless it was fetched before.

        Raises:
            NotFoundError: If there is no such model or version.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            await hello.load()
            help(hello)
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        await self._loader.load(Deadline.after(self._timeout))

    @property
    def json_schema(self) -> dict[str, Any]:
        """The inputs as JSON Schema: an object with a property for each input.

        A file is a string, its URL or data URI. An optional input without a default may be null.

        Raises:
            RuntimeError: If the schema is not loaded. Call `await f.load()` first.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            await hello.load()
            print(hello.json_schema["properties"]["text"])
            ```
        """
        # sync doc: . Call `await f.load()` first. -> , and the client is closed.
        return json_schema.inputs_schema(self._loader.require())

    @property
    def output_schema(self) -> dict[str, Any]:
        """The output as JSON Schema. Empty if the model does not describe its output.

        Raises:
            RuntimeError: If the schema is not loaded. Call `await f.load()` first.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            await hello.load()
            print(hello.output_schema["type"])
            ```
        """
        # sync doc: . Call `await f.load()` first. -> , and the client is closed.
        return json_schema.output_schema(self._loader.require())

    def tool_definition(self) -> dict[str, Any]:
        """Return the model as a tool for a language model, in the format of OpenAI.

        Returns:
            `{"type": "function", "function": {"name", "description", "parameters"}}`. The arguments
            that the language model returns are the inputs: `await f(**arguments)`.

        Raises:
            RuntimeError: If the schema is not loaded. Call `await f.load()` first.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            await hello.load()
            tools = [hello.tool_definition()]
            ```
        """
        # sync doc: . Call `await f.load()` first. -> , and the client is closed.
        schema = self._loader.require()
        return {
            "type": "function",
            "function": {
                "name": signature.identifier(self._loader.reference.name)[:LONGEST_TOOL_NAME],
                "description": schema.description or f"Run the model {self._ref}.",
                "parameters": json_schema.inputs_schema(schema),
            },
        }

    def __repr__(self) -> str:
        return f"<AsyncModelFunction {self._ref}>"

    def __reduce__(self) -> str:
        raise TypeError("model functions cannot be pickled: call use() in the other process")

    async def _inputs(
        self, args: Sequence[Any], inputs: Mapping[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        """Return the inputs of a call, checked against the schema."""
        schema = await self._loader.load(deadline)
        try:
            return check.bind(schema, self._ref, args, inputs)
        except (TypeError, ValueError):
            # A newer version of the model may accept this input.
            newer = await self._loader.load(deadline, fresh=True)
            if newer is schema:
                raise
        return check.bind(newer, self._ref, args, inputs)

    async def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return await self._inputs((), row, Deadline.after(self._timeout))


AsyncModelFunction.__module__ = "dashscope"
