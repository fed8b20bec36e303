"""The sync client. Generated from the async one by `python -m dashscope._sync.generate`.

Never edit it: change the async class, and generate it anew.
"""

# pyright: reportPrivateUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import builtins
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, overload

from dashscope import _batch, _client, _files, _functions, _predictions, resources, types
from dashscope._client import T, driven_client
from dashscope._common.cached_property import cached_property
from dashscope._common.secrets import Token
from dashscope._config import (
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    STALL_TIMEOUT,
    UNCHANGED,
    EventHooks,
)
from dashscope._runtime.drive import drive
from dashscope._sync.facade import (
    ClosingIterator,
    Facade,
    drive_next,
    each,
    enter_block,
    exit_block,
    view,
)
from dashscope._transport import protocols


class Download(Facade):
    """The bytes behind a URL, as they come: `with`, then read, save or iterate."""

    _async: _files.AsyncDownload

    @property
    def url(self) -> str:
        """Where they come from."""
        return self._async.url

    @property
    def headers(self) -> types.Headers:
        """The answer's headers, once inside the `with` block; the keys ignore case."""
        return self._async.headers

    @property
    def content_type(self) -> str | None:
        """The media type, where the server names it."""
        return self._async.content_type

    @property
    def size(self) -> int | None:
        """The length in bytes, where the server names it."""
        return self._async.size

    def read(self) -> bytes:
        """All of it, up to the client's `max_response_bytes`."""
        return drive(self._async.read())

    def iter_bytes(self) -> ClosingIterator[bytes]:
        """Piece by piece, in constant memory."""
        return ClosingIterator(self._async.iter_bytes())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save it to a file; a folder takes the name that the server gives it.

        The file appears under its name when it is whole, never before.

        Args:
            path: the file, or an existing folder (or a path that ends in a slash); `~` is the
                home folder.
            overwrite: whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: when it exists already, or cannot be written.
        """
        return drive(self._async.save(path, overwrite=overwrite))

    def __enter__(self) -> Self:
        return enter_block(self, self._async)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exit_block(self._async, kind, error, traceback)


Download.__module__ = "dashscope"


class FileOutput(str):
    """A file that a model made: the `str` is its URL.

    ```python
    output = client.run("dashscope/thumbnail", {"image": Path("photo.png")})
    output.save("thumbnail.png")
    ```
    """

    __slots__ = ("_async",)
    _async: _files.AsyncFileOutput

    def __new__(cls, async_impl: _files.AsyncFileOutput) -> Self:
        self = super().__new__(cls, async_impl)
        self._async = async_impl
        return self

    def __reduce__(self) -> Any:
        return self._async.__reduce__()

    @property
    def content_type(self) -> str | None:
        """The media type: as the server said when it was read, before that by its name."""
        return self._async.content_type

    @property
    def filename(self) -> str:
        """A name for the file, never a path: by its URL, once it was read as the server said."""
        return self._async.filename

    @property
    def size(self) -> int | None:
        """The length in bytes, known once it was read and where the server names it."""
        return self._async.size

    def read(self) -> bytes:
        """The file's content, up to the client's `max_response_bytes`.

        Raises:
            APIStatusError: when the server does not give it.
            FileError: when it is a data URI that cannot be decoded.
        """
        return drive(self._async.read())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the file; a folder takes the name that the server gives it.

        It appears under its name when it is whole, never before.

        Args:
            path: the file, or an existing folder (or a path that ends in a slash); `~` is the
                home folder.
            overwrite: whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: when it exists already, or cannot be written.
        """
        return drive(self._async.save(path, overwrite=overwrite))

    def iter_bytes(self) -> ClosingIterator[bytes]:
        """The file's content piece by piece, in constant memory."""
        return ClosingIterator(self._async.iter_bytes())

    def _repr_html_(self) -> str:
        return self._async._repr_html_()


FileOutput.__module__ = "dashscope"


class EventStream(Facade):
    """The events of a prediction, as they come: `with`, then `for`.

    ```python
    with client.stream("dashscope/countdown", {"start": 3}) as stream:
        for event in stream:
            print(str(event), end="")
    ```
    """

    _async: _predictions.AsyncEventStream

    @property
    def prediction(self) -> types.Prediction:
        """The prediction, as last seen."""
        return self._async.prediction

    @property
    def reconnections(self) -> int:
        """How often the connection had to be made again."""
        return self._async.reconnections

    def result(self) -> types.Prediction:
        """The finished prediction; before the end of the stream, waits for it.

        Raises:
            PredictionTimeoutError: when it was not over within the stream's `timeout`.
        """
        return drive(self._async.result())

    def __enter__(self) -> Self:
        return enter_block(self, self._async)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exit_block(self._async, kind, error, traceback)

    def __iter__(self) -> Iterator[types.Event]:
        return each(self._async)

    def __next__(self) -> types.Event:
        """Return the next event.

        Raises:
            ModelError: If the model failed.
            StreamError: If something is missing and cannot be filled in.
            PredictionTimeoutError: If the stream's `timeout` passed.
        """
        return drive_next(self._async.__anext__())


EventStream.__module__ = "dashscope"


class Batch(Facade):
    """The results of a batch: use `with`, then `for`.

    Example:
        ```python
        inputs = [{"text": name} for name in ("Alice", "Bob")]
        with client.map("dashscope/hello-world", inputs) as results:
            for result in results:
                print(result.index, result.output if result.ok else result.error)
        ```
    """

    _async: _batch.AsyncBatch

    @property
    def progress(self) -> types.BatchProgress:
        """The current progress.

        Raises:
            RuntimeError: If the batch has not been entered.
        """
        return self._async.progress

    def _repr_html_(self) -> str:
        return self._async._repr_html_()

    def __enter__(self) -> Self:
        return enter_block(self, self._async)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> types.BatchResult:
        """Return the next result.

        Raises:
            CheckpointError: If the checkpoint cannot be used.
            Exception: If the inputs raise: their exception, after the results of all rows before.
                With `on_error="raise"`: the first error of a row.
        """
        return drive_next(self._async.__anext__())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exit_block(self._async, kind, error, traceback)


Batch.__module__ = "dashscope"


class AccountResource(Facade):
    """`client.account`."""

    _async: resources.AsyncAccountResource

    def get(self) -> types.Account:
        """Get the account that the token belongs to.

        ```python
        account = client.account.get()
        print(account.username)
        ```

        Endpoint: `GET /account`.
        """
        return drive(self._async.get())


class Collections(Facade):
    """`client.collections`."""

    _async: resources.AsyncCollections

    def list(self, *, cursor: str | None = None) -> types.Page[types.Collection]:
        """List the collections, without their models.

        Endpoint: `GET /collections`.
        """
        return drive(self._async.list(cursor=cursor))

    def get(self, slug: str) -> types.Collection:
        """Get a collection with its models.

        Endpoint: `GET /collections/{collection_slug}`.
        """
        return drive(self._async.get(slug))


class Deployments(Facade):
    """`client.deployments`."""

    _async: resources.AsyncDeployments

    @property
    def predictions(self) -> DeploymentPredictions:
        """Predictions by a deployment's name."""
        return DeploymentPredictions(self._async.predictions)

    def list(self, *, cursor: str | None = None) -> types.Page[types.Deployment]:
        """List the account's deployments.

        Endpoint: `GET /deployments`.
        """
        return drive(self._async.list(cursor=cursor))

    def create(
        self,
        *,
        name: str,
        model: str,
        version: str,
        hardware: str,
        min_instances: int,
        max_instances: int,
    ) -> types.Deployment:
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
        return drive(
            self._async.create(
                name=name,
                model=model,
                version=version,
                hardware=hardware,
                min_instances=min_instances,
                max_instances=max_instances,
            )
        )

    def get(self, owner: str, name: str) -> types.Deployment:
        """Get a deployment.

        Endpoint: `GET /deployments/{deployment_owner}/{deployment_name}`.
        """
        return drive(self._async.get(owner, name))

    def update(
        self,
        owner: str,
        name: str,
        *,
        version: str | None = None,
        hardware: str | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
    ) -> types.Deployment:
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
        return drive(
            self._async.update(
                owner,
                name,
                version=version,
                hardware=hardware,
                min_instances=min_instances,
                max_instances=max_instances,
            )
        )

    def delete(self, owner: str, name: str) -> None:
        """Delete a deployment that has not been used for 15 minutes.

        Endpoint: `DELETE /deployments/{deployment_owner}/{deployment_name}`.
        """
        drive(self._async.delete(owner, name))


class DeploymentPredictions(Facade):
    """`client.deployments.predictions`."""

    _async: resources.AsyncDeploymentPredictions

    def create(
        self,
        owner: str,
        name: str,
        *,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
    ) -> types.Prediction:
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
        return drive(
            self._async.create(
                owner,
                name,
                input=input,
                wait=wait,
                cancel_after=cancel_after,
                stream=stream,
                webhook=webhook,
                webhook_events_filter=webhook_events_filter,
            )
        )


class Files(Facade):
    """`client.files`."""

    _async: resources.AsyncFiles

    def create(
        self,
        content: _files.FileContent,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> types.File:
        """Upload a file of up to 100 MB, to use it in a model's input.

        Args:
            content: a `pathlib.Path`, bytes, or a file open in binary mode, which is sent from
                where it is, and left there.
            filename: its name, by default the path's.
            content_type: its media type (the API's `type`), by default guessed from the name.
            metadata: what to note with it, a JSON object.
            progress: a plain function, called with the bytes sent so far, from 0 on at each
                attempt.
            timeout: seconds the upload may take, with its retries; by default the client's.

        Raises:
            FileError: when it cannot be read, or is too large; nothing was sent then.

        ```python
        file = client.files.create(Path("photo.png"), metadata={"customer": 7})
        output = client.run("dashscope/thumbnail", {"image": file.urls.get})
        ```

        Endpoint: `POST /files`.
        """
        return drive(
            self._async.create(
                content,
                filename=filename,
                content_type=content_type,
                metadata=metadata,
                progress=progress,
                timeout=timeout,
            )
        )

    def list(self, *, cursor: str | None = None) -> types.Page[types.File]:
        """List the account's files, newest first.

        Endpoint: `GET /files`.
        """
        return drive(self._async.list(cursor=cursor))

    def get(self, file: types.File | str) -> types.File:
        """Get the metadata of a file, by its id or an older state of it.

        Endpoint: `GET /files/{file_id}`.
        """
        return drive(self._async.get(file))

    def delete(self, file: types.File | str) -> None:
        """Delete a file.

        Endpoint: `DELETE /files/{file_id}`.
        """
        drive(self._async.delete(file))

    def download(
        self, file: types.File | str, *, owner: str, expiry: int, signature: str
    ) -> Download:
        """Download a file's content by a signed URL's parts, as a stream.

        Args:
            file: the file, or its id.
            owner: the user or organization that uploaded it.
            expiry: when the signature ends, in seconds since the epoch.
            signature: the base64 of the HMAC-SHA256 of `{owner} {id} {expiry}` by the secret
                that files are signed with.

        Returns:
            A download, to be opened by `with`: it has `read()`, `save(path)` and
            `iter_bytes()`.

        ```python
        with client.files.download(
            file, owner=owner, expiry=expiry, signature=signature
        ) as download:
            download.save("copy.png")
        ```

        Endpoint: `GET /files/{file_id}/download`.
        """
        return Download(self._async.download(file, owner=owner, expiry=expiry, signature=signature))


class HardwareResource(Facade):
    """`client.hardware`."""

    _async: resources.AsyncHardwareResource

    def list(self) -> builtins.list[types.Hardware]:
        """List the hardware that models can run on.

        ```python
        for hardware in client.hardware.list():
            print(hardware.sku, hardware.name)
        ```

        Endpoint: `GET /hardware`.
        """
        return drive(self._async.list())


class Models(Facade):
    """`client.models`."""

    _async: resources.AsyncModels

    @property
    def predictions(self) -> ModelPredictions:
        """Predictions by a model's name."""
        return ModelPredictions(self._async.predictions)

    @property
    def versions(self) -> ModelVersions:
        """The versions of models."""
        return ModelVersions(self._async.versions)

    @property
    def examples(self) -> ModelExamples:
        """The examples of models."""
        return ModelExamples(self._async.examples)

    @property
    def readme(self) -> ModelReadme:
        """The readmes of models."""
        return ModelReadme(self._async.readme)

    def list(
        self,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        cursor: str | None = None,
    ) -> types.Page[types.Model]:
        """List public models, a page at a time.

        Args:
            sort_by: what to sort by; by default, when the latest version was made.
            sort_direction: `desc` (newest first, the default) or `asc`.
            cursor: which page, by the `next` of another one; by default the first.

        ```python
        for model in client.iterate(client.models.list, max_items=100):
            print(model.owner, model.name)
        ```

        Endpoint: `GET /models`.
        """
        return drive(
            self._async.list(sort_by=sort_by, sort_direction=sort_direction, cursor=cursor)
        )

    def create(
        self,
        owner: str,
        name: str,
        *,
        visibility: Literal["public", "private"],
        hardware: str,
        description: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        cover_image_url: str | None = None,
    ) -> types.Model:
        """Create a model, to train or push versions of.

        Args:
            owner: the user or organization that the token belongs to.
            name: its name, unique among the owner's.
            visibility: who may see and run it.
            hardware: the `sku` of what it runs on, one of `client.hardware.list()`.
            description: what it does.
            github_url: its source code.
            paper_url: its paper.
            license_url: its license.
            cover_image_url: its picture.

        Raises:
            ConflictError: when there is a model of that name.

        Endpoint: `POST /models`.
        """
        return drive(
            self._async.create(
                owner,
                name,
                visibility=visibility,
                hardware=hardware,
                description=description,
                github_url=github_url,
                paper_url=paper_url,
                license_url=license_url,
                cover_image_url=cover_image_url,
            )
        )

    def get(self, owner: str, name: str) -> types.Model:
        """Get a model.

        Endpoint: `GET /models/{model_owner}/{model_name}`.
        """
        return drive(self._async.get(owner, name))

    def update(
        self,
        owner: str,
        name: str,
        *,
        description: str | None = None,
        readme: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        weights_url: str | None = None,
    ) -> types.Model:
        """Change what is said of a model; what is not given stays, and an empty text empties it.

        Args:
            owner: the user or organization it belongs to.
            name: its name.
            description: what it does.
            readme: its readme, in Markdown.
            github_url: its source code.
            paper_url: its paper.
            license_url: its license.
            weights_url: its weights.

        Endpoint: `PATCH /models/{model_owner}/{model_name}`.
        """
        return drive(
            self._async.update(
                owner,
                name,
                description=description,
                readme=readme,
                github_url=github_url,
                paper_url=paper_url,
                license_url=license_url,
                weights_url=weights_url,
            )
        )

    def delete(self, owner: str, name: str) -> None:
        """Delete a model of your own that is private and has no versions.

        Endpoint: `DELETE /models/{model_owner}/{model_name}`.
        """
        drive(self._async.delete(owner, name))

    def search(self, query: str, *, cursor: str | None = None) -> types.Page[types.Model]:
        """Search public models.

        Args:
            query: what to look for.
            cursor: which page, by the `next` of another one; by default the first.

        ```python
        for model in client.models.search("hello"):
            print(model.owner, model.name)
        ```

        Endpoint: `QUERY /models`.
        """
        return drive(self._async.search(query, cursor=cursor))


class ModelPredictions(Facade):
    """`client.models.predictions`."""

    _async: resources.AsyncModelPredictions

    def create(
        self,
        owner: str,
        name: str,
        *,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
    ) -> types.Prediction:
        """Run the latest version of a model.

        Args:
            owner: the user or organization the model belongs to.
            name: the model's name.
            input: the model's inputs; files in it are sent along.
            wait: seconds (1 to 60) for which the server holds the answer back until there
                is an output.
            cancel_after: seconds (5 or more), a `timedelta` or a text like `1h30m` after which
                the server cancels the prediction.
            stream: ask for a `urls.stream`; models that stream have one anyway.
            webhook: an http(s) URL that the server tells of events.
            webhook_events_filter: of which events, by default of all.

        Raises:
            NotFoundError: when there is no such model.
            UnprocessableEntityError: when the input is not what the model takes.

        Endpoint: `POST /models/{model_owner}/{model_name}/predictions`.
        """
        return drive(
            self._async.create(
                owner,
                name,
                input=input,
                wait=wait,
                cancel_after=cancel_after,
                stream=stream,
                webhook=webhook,
                webhook_events_filter=webhook_events_filter,
            )
        )


class ModelVersions(Facade):
    """`client.models.versions`."""

    _async: resources.AsyncModelVersions

    def list(
        self, owner: str, name: str, *, cursor: str | None = None
    ) -> types.Page[types.Version]:
        """List the versions of a model, newest first.

        Endpoint: `GET /models/{model_owner}/{model_name}/versions`.
        """
        return drive(self._async.list(owner, name, cursor=cursor))

    def get(self, owner: str, name: str, version_id: str) -> types.Version:
        """Get a version of a model, with the schema of its inputs and outputs.

        Endpoint: `GET /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        return drive(self._async.get(owner, name, version_id))

    def delete(self, owner: str, name: str, version_id: str) -> None:
        """Delete a version of a model of your own, with its predictions; it takes minutes.

        Endpoint: `DELETE /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        drive(self._async.delete(owner, name, version_id))


class ModelExamples(Facade):
    """`client.models.examples`."""

    _async: resources.AsyncModelExamples

    def list(
        self, owner: str, name: str, *, cursor: str | None = None
    ) -> types.Page[types.Prediction]:
        """List the predictions that show what a model does.

        Endpoint: `GET /models/{model_owner}/{model_name}/examples`.
        """
        return drive(self._async.list(owner, name, cursor=cursor))


class ModelReadme(Facade):
    """`client.models.readme`."""

    _async: resources.AsyncModelReadme

    def get(self, owner: str, name: str) -> str:
        """Get the readme of a model, in Markdown.

        Raises:
            NotFoundError: when it has none.

        Endpoint: `GET /models/{model_owner}/{model_name}/readme`.
        """
        return drive(self._async.get(owner, name))


class Predictions(Facade):
    """`client.predictions`."""

    _async: resources.AsyncPredictions

    def create(
        self,
        *,
        version: str,
        input: Mapping[str, Any],
        wait: int | None = None,
        cancel_after: float | timedelta | str | None = None,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
    ) -> types.Prediction:
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
        model = client.models.get("dashscope", "hello-world")
        prediction = client.predictions.create(
            version=model.latest_version.id, input={"text": "Alice"}
        )
        prediction = client.wait(prediction)
        ```

        Endpoint: `POST /predictions`.
        """
        return drive(
            self._async.create(
                version=version,
                input=input,
                wait=wait,
                cancel_after=cancel_after,
                stream=stream,
                webhook=webhook,
                webhook_events_filter=webhook_events_filter,
            )
        )

    def get(self, prediction: types.Prediction | str) -> types.Prediction:
        """Get the state of a prediction, by its id or an older state of it.

        Endpoint: `GET /predictions/{prediction_id}`.
        """
        return drive(self._async.get(prediction))

    def list(
        self,
        *,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        source: Literal["web"] | None = None,
        cursor: str | None = None,
    ) -> types.Page[types.Prediction]:
        """List the account's predictions, newest first, a page of 100 at a time.

        Args:
            created_after: only those created at this time or later.
            created_before: only those created before this time.
            source: only those created in this way: `web`.
            cursor: which page, by the `next` of another one; by default the first.

        ```python
        for page in client.paginate(client.predictions.list):
            print(len(page))
        ```

        Endpoint: `GET /predictions`.
        """
        return drive(
            self._async.list(
                created_after=created_after,
                created_before=created_before,
                source=source,
                cursor=cursor,
            )
        )

    def cancel(self, prediction: types.Prediction | str) -> types.Prediction:
        """Cancel a prediction; one that is over stays as it is.

        Endpoint: `POST /predictions/{prediction_id}/cancel`.
        """
        return drive(self._async.cancel(prediction))

    def stream(
        self,
        prediction: types.Prediction | str,
        *,
        timeout: float | None = None,
        stall_timeout: float = STALL_TIMEOUT,
        use_file_output: bool | None = None,
        cancel_on_exit: bool = False,
    ) -> EventStream:
        """Stream the events of a prediction that runs or ran.

        Args:
            prediction: the prediction, or its id.
            timeout: seconds that the stream may take, by default as many as the model does.
            stall_timeout: seconds without a byte after which the connection is made again.
            use_file_output: whether URLs in the output become file outputs; by default as the
                client says.
            cancel_on_exit: whether to cancel it when the stream is left before its end.

        Returns:
            A stream, to be opened by `with`.

        Raises:
            StreamError: when the model does not stream, or something is missing that nothing
                can fill.

        ```python
        with client.predictions.stream(prediction) as stream:
            for event in stream:
                print(event)
        ```

        Endpoint: `GET` of the prediction's `urls.stream`.
        """
        return EventStream(
            self._async.stream(
                prediction,
                timeout=timeout,
                stall_timeout=stall_timeout,
                use_file_output=use_file_output,
                cancel_on_exit=cancel_on_exit,
            )
        )


class Trainings(Facade):
    """`client.trainings`."""

    _async: resources.AsyncTrainings

    def create(
        self,
        owner: str,
        name: str,
        version_id: str,
        *,
        destination: str,
        input: Mapping[str, Any],
        webhook: str | None = None,
        webhook_events_filter: Sequence[_predictions.WebhookEvent] | None = None,
    ) -> types.Training:
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
        training = client.trainings.create(
            "dashscope",
            "markov",
            version_id,
            destination="local/my-style",
            input={"text": Path("book.txt")},
        )
        training = client.trainings.wait(training)
        ```

        Endpoint: `POST /models/{model_owner}/{model_name}/versions/{version_id}/trainings`.
        """
        return drive(
            self._async.create(
                owner,
                name,
                version_id,
                destination=destination,
                input=input,
                webhook=webhook,
                webhook_events_filter=webhook_events_filter,
            )
        )

    def get(self, training: types.Training | str) -> types.Training:
        """Get the state of a training, by its id or an older state of it.

        Endpoint: `GET /trainings/{training_id}`.
        """
        return drive(self._async.get(training))

    def list(self, *, cursor: str | None = None) -> types.Page[types.Training]:
        """List the account's trainings, newest first, a page of 100 at a time.

        Args:
            cursor: which page, by the `next` of another one; by default the first.

        Endpoint: `GET /trainings`.
        """
        return drive(self._async.list(cursor=cursor))

    def cancel(self, training: types.Training | str) -> types.Training:
        """Cancel a training; one that is over stays as it is.

        Endpoint: `POST /trainings/{training_id}/cancel`.
        """
        return drive(self._async.cancel(training))

    def wait(
        self,
        training: types.Training | str,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Training], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Training:
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
        return drive(
            self._async.wait(
                training,
                poll_interval=poll_interval,
                timeout=timeout,
                progress=progress,
                cancel_on_exit=cancel_on_exit,
            )
        )


class WebhookSecretResource(Facade):
    """`client.webhooks.default.secret`."""

    _async: resources.AsyncWebhookSecretResource

    def get(self) -> types.WebhookSecret:
        """Get the secret that webhooks to the default receiver are signed with.

        ```python
        secret = client.webhooks.default.secret.get()
        ```

        Endpoint: `GET /webhooks/default/secret`.
        """
        return drive(self._async.get())


class DefaultWebhook(Facade):
    """`client.webhooks.default`."""

    _async: resources.AsyncDefaultWebhook

    @property
    def secret(self) -> WebhookSecretResource:
        """The secret that webhooks are signed with."""
        return WebhookSecretResource(self._async.secret)


class Webhooks(Facade):
    """`client.webhooks`."""

    _async: resources.AsyncWebhooks

    @property
    def default(self) -> DefaultWebhook:
        """The default webhook."""
        return DefaultWebhook(self._async.default)


class ModelFunction(Facade):
    """A model as a function: `client.use("owner/name")`, then `model(prompt="...")`.

    What the inputs are, the model's schema says. It is fetched once, by the first call or by
    `load()`; from then on `inspect.signature(model)` and `help(model)` show them. Arguments are
    checked before anything is sent.

    ```python
    hello = client.use("dashscope/hello-world")
    output = hello(text="Alice")
    ```
    """

    _async: _functions.AsyncModelFunction

    def __init__(self, async_impl: _functions.AsyncModelFunction) -> None:
        super().__init__(async_impl)
        async_impl._appear_as(self)

    @property
    def ref(self) -> str:
        """The model, `owner/name` or `owner/name:version`."""
        return self._async.ref

    def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the model and wait for its output, as `client.run()` does.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs; files in them (paths, bytes, open files) are sent along.

        Returns:
            The output.

        Raises:
            TypeError: for an input that the model does not have, one that is missing, or one of
                another type.
            ValueError: for an input that is out of bounds.
            ModelError: when the model failed.

        ```python
        thumbnail = client.use("dashscope/thumbnail", timeout=60)
        output = thumbnail(image=Path("photo.png"), width=64)
        output = thumbnail(image=output, width=32)  # its URL goes in, not its content
        ```
        """
        return drive(self._async.__call__(*args, **inputs))

    def stream(self, /, *args: Any, **inputs: Any) -> EventStream:
        """Run the model and stream its output as it comes, as `client.stream()` does.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs.

        Returns:
            A stream, to be opened by `with`, which checks the inputs first.

        ```python
        with client.use("dashscope/countdown").stream(start=3) as stream:
            for event in stream:
                print(str(event), end="")
        ```
        """
        return EventStream(self._async.stream(*args, **inputs))

    def create(self, /, *args: Any, **inputs: Any) -> types.Prediction:
        """Start a run of the model, and go on without it.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs.

        Returns:
            The prediction.

        ```python
        prediction = client.use("dashscope/countdown").create(start=3)
        prediction = client.wait(prediction)
        ```
        """
        return drive(self._async.create(*args, **inputs))

    def map(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = 32,
        ordered: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: _batch.Resume = "yield",
        on_error: _batch.OnError = "yield",
        on_unknown: _batch.OnUnknown = "error",
        max_rate: float | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        poll_interval: float | None = None,
    ) -> Batch:
        """Run the model over many inputs, and give each result as it comes, as `client.map()` does.

        An input that the model does not take is an error in its result, and is not sent.

        Args:
            inputs: mappings of the model's inputs: an iterable.
            concurrency: how many predictions are in flight at the most.
            ordered: whether results come in the order of the inputs.
            checkpoint: the path of a file, which is made where it is missing.
            resume: what becomes of rows that are over by the checkpoint: `yield` or `skip`.
            on_error: `raise` raises the first error of a row; by default it is in its result.
            on_unknown: what becomes of a row that may have been created: an `error`, or
                `recreate`.
            max_rate: how many predictions are created per second at the most.
            progress: called with a `BatchProgress` a few times per second, and at the end.
            poll_interval: seconds between two looks at what runs.

        Returns:
            A batch, to be opened by `with`.

        Raises:
            ValueError: when the function has a webhook: a batch has none.

        ```python
        hello = client.use("dashscope/hello-world")
        with hello.map({"text": name} for name in ("Alice", "Bob")) as results:
            for result in results:
                print(result.index, result.output)
        ```
        """
        return Batch(
            self._async.map(
                inputs,
                concurrency=concurrency,
                ordered=ordered,
                checkpoint=checkpoint,
                resume=resume,
                on_error=on_error,
                on_unknown=on_unknown,
                max_rate=max_rate,
                progress=progress,
                poll_interval=poll_interval,
            )
        )

    def load(self) -> None:
        """Fetch the model's schema, unless it is there already.

        Raises:
            NotFoundError: when there is no such model or version.

        ```python
        hello = client.use("dashscope/hello-world")
        hello.load()
        help(hello)
        ```
        """
        drive(self._async.load())


ModelFunction.__module__ = "dashscope"


class Client(Facade):
    """The Dashscope HTTP API for code without `await`.

    One client serves a whole program: it keeps its connections, is safe to share between threads, and costs nothing before its first request.

    ```python
    with Client() as client:
        output = client.run("dashscope/hello-world", {"text": "Alice"})
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
        event_hooks: `{"request": [...], "response": [...]}`: functions
            called with each `Request` and each `Response` of the API; a request hook may return
            a changed `Request`. The `Response` of a download or a stream has no content: its
            body is read afterwards.
        proxy: the URL of a proxy; by default the proxy environment variables count.
        verify: whether to verify certificates, or an `ssl.SSLContext`.
        http2: whether to speak HTTP/2 where the server does (extra `http2`).
        trusted_hosts: further hosts that get the token, over https: `host` or `*.host`.
        use_file_output: whether `run()` turns URLs in outputs into file outputs.
        http_client: A function that creates an `httpx.Client` (or `httpx2.Client`) to
            send requests with, such as `httpx.Client` itself. It is called once for each process, and what it returns is closed with this client. A ready-made
            client is accepted too. It belongs to the process that creates this client,
            and you close it.

    Raises:
        ConfigurationError: when a token is missing or unusable, or an address is.
    """

    _async: _client.AsyncClient

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
        http_client: protocols.HTTPClient | Callable[[], protocols.HTTPClient] | None = None,
    ) -> None:
        token = Token.given(api_token)
        del api_token
        super().__init__(
            driven_client(
                _own,
                token,
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
                http_client=http_client,
            )
        )

    @cached_property
    def account(self) -> AccountResource:
        """The account that the token belongs to."""
        return AccountResource(self._async.account)

    @cached_property
    def collections(self) -> Collections:
        """Collections of models."""
        return Collections(self._async.collections)

    @cached_property
    def deployments(self) -> Deployments:
        """Deployments, and predictions by them."""
        return Deployments(self._async.deployments)

    @cached_property
    def files(self) -> Files:
        """Uploaded files."""
        return Files(self._async.files)

    @cached_property
    def hardware(self) -> HardwareResource:
        """The hardware that models can run on."""
        return HardwareResource(self._async.hardware)

    @cached_property
    def models(self) -> Models:
        """Models, their versions, examples and readmes, and predictions by them."""
        return Models(self._async.models)

    @cached_property
    def predictions(self) -> Predictions:
        """Predictions."""
        return Predictions(self._async.predictions)

    @cached_property
    def trainings(self) -> Trainings:
        """Trainings."""
        return Trainings(self._async.trainings)

    @cached_property
    def webhooks(self) -> Webhooks:
        """The secret that webhooks are signed with."""
        return Webhooks(self._async.webhooks)

    def run(
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
            The output: whatever JSON the model makes, with an `FileOutput` (a `str`) for
            each URL.

        Raises:
            ModelError: when the model failed.
            PredictionCanceledError: when somebody cancelled the prediction.
            PredictionTimeoutError: when `timeout` passed.
            PredictionError: when the service has removed the output.
            NotFoundError: when there is no such model.
            UnprocessableEntityError: when the input is not what the model takes.

        ```python
        output = client.run("dashscope/hello-world", {"text": "Alice"}, timeout=60)
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET /predictions/{prediction_id}`.
        """
        return drive(
            self._async.run(
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
    ) -> EventStream:
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
            A stream, to be opened by `with`. `str(event)` is the text of an output event;
            `stream.prediction` is the prediction, and `stream.result()` its end.

        Raises:
            StreamError: when the model does not stream, or something is missing that nothing
                can fill.
            ModelError: when the model failed.
            PredictionTimeoutError: when `timeout` passed.

        ```python
        with client.stream("dashscope/countdown", {"start": 3}) as stream:
            for event in stream:
                print(str(event), end="")
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET` of the prediction's `urls.stream`.
        """
        return EventStream(
            self._async.stream(
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
    ) -> ModelFunction:
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
            The function: `model(text="Alice")`, and its `stream()`, `map()` and `create()`.

        ```python
        hello = client.use("dashscope/hello-world")
        print(hello(text="Alice"), hello(text="Bob"))
        ```

        Endpoint: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}`, then as `run()`,
        `stream()` and `map()`.
        """
        return ModelFunction(
            self._async.use(
                ref,
                timeout=timeout,
                webhook=webhook,
                webhook_events_filter=webhook_events_filter,
                file_encoding=file_encoding,
                use_file_output=use_file_output,
            )
        )

    def map(
        self,
        ref: str,
        inputs: Iterable[Mapping[str, Any]],
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
    ) -> Batch:
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
            inputs: mappings of the model's inputs: an iterable.
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
            A batch, to be opened by `with`. It gives a `BatchResult` for each input:
            `index`, `input`, `output` or `error`, and the `prediction`.

        Raises:
            CheckpointError: when the checkpoint is in use, not one, or one of other inputs; by
                the `with` or while iterating.

        ```python
        inputs = ({"text": name} for name in ("Alice", "Bob"))
        with client.map("dashscope/hello-world", inputs, checkpoint="run.sqlite") as results:
            for result in results:
                print(result.index, result.output if result.ok else result.error)
        ```

        Endpoints: `POST /models/{model_owner}/{model_name}/predictions` or
        `POST /predictions`, then `GET /predictions`, a page for up to 100 predictions, and where
        that does not show one, `GET /predictions/{prediction_id}`.
        """
        return Batch(
            self._async.map(
                ref,
                inputs,
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
        )

    @overload
    def wait(
        self,
        prediction: types.Prediction | str,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Prediction], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Prediction: ...
    @overload
    def wait(
        self,
        prediction: types.Training,
        *,
        poll_interval: float | None = None,
        timeout: float | None = None,
        progress: Callable[[types.Training], object] | None = None,
        cancel_on_exit: bool = False,
    ) -> types.Training: ...
    def wait(
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
        prediction = client.wait(prediction, timeout=60)
        print(prediction.status, prediction.output)
        ```

        Endpoint: `GET /predictions/{prediction_id}` or `GET /trainings/{training_id}`, as often
        as needed.
        """
        return cast(
            "types.Prediction | types.Training",
            drive(
                cast("Any", self._async).wait(
                    prediction,
                    poll_interval=poll_interval,
                    timeout=timeout,
                    progress=progress,
                    cancel_on_exit=cancel_on_exit,
                )
            ),
        )

    def paginate(
        self, method: Callable[..., types.Page[T]], *args: Any, **kwargs: Any
    ) -> ClosingIterator[types.Page[T]]:
        """Go through the pages of a list.

        Args:
            method: a `list` (or `search`) of a resource.
            args: what it is called with.
            kwargs: what it is called with by name.

        Returns:
            An iterator of `Page`s.

        ```python
        for page in client.paginate(client.predictions.list):
            print([prediction.id for prediction in page])
        ```
        """
        return ClosingIterator(self._async.paginate(cast("Any", method), *args, **kwargs))

    def iterate(
        self,
        method: Callable[..., types.Page[T]],
        *args: Any,
        max_items: int | None = None,
        **kwargs: Any,
    ) -> ClosingIterator[T]:
        """Go through the items of a list, page after page.

        Args:
            method: a `list` (or `search`) of a resource.
            args: what it is called with.
            max_items: after how many items to stop, by default never.
            kwargs: what it is called with by name.

        Returns:
            An iterator of the items.

        ```python
        for prediction in client.iterate(client.predictions.list, max_items=10):
            print(prediction.id, prediction.status)
        ```
        """
        return ClosingIterator(
            self._async.iterate(cast("Any", method), *args, max_items=max_items, **kwargs)
        )

    def request(
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
    ) -> types.Response:
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
        response = client.request("GET", "/account")
        print(response.json()["username"])
        ```
        """
        return drive(
            self._async.request(
                method,
                path,
                params=params,
                json=json,
                content=content,
                files=files,
                headers=headers,
                timeout=timeout,
            )
        )

    def search(self, query: str, *, limit: int | None = None) -> types.SearchResults:
        """Search models, collections and pages of the documentation.

        Args:
            query: what to look for.
            limit: how many models to give at the most, 1 to 50, by default 20.

        ```python
        results = client.search("hello", limit=5)
        print([found.model.name for found in results.models or ()])
        ```

        Endpoint: `GET /search`.
        """
        return drive(self._async.search(query, limit=limit))

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
        return view(
            self,
            self._async.with_options(timeout=timeout, max_retries=max_retries, headers=headers),
        )

    def close(self) -> None:
        """Close the connections; later requests are refused.

        What runs, streams and batches have under way is cancelled on the server.
        """
        drive(self._async.aclose())

    def __enter__(self) -> Self:
        return enter_block(self, self._async)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exit_block(self._async, kind, error, traceback)

    def __reduce__(self) -> Any:
        return self._async.__reduce__()


Client.__module__ = "dashscope"
_OWNED = {"AsyncFileOutput": FileOutput}


def _own(value: Any) -> Any:
    """The sync counterpart of a value that does I/O."""
    return _OWNED[type(value).__name__](value)
