"""Run models over the Dashscope HTTP API, with `await` or without.

```python
from dashscope import AsyncClient, Client
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dashscope import webhooks
    from dashscope._api.pagination import Page
    from dashscope._batch.batch import AsyncBatch
    from dashscope._batch.progress_bar import progress_bar
    from dashscope._batch.row import BatchProgress, BatchResult
    from dashscope._client import AsyncClient
    from dashscope._config import __version__
    from dashscope._errors import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        CheckpointError,
        ConfigurationError,
        ConflictError,
        DashscopeError,
        FileError,
        InternalServerError,
        ModelError,
        NotFoundError,
        PaymentRequiredError,
        PermissionDeniedError,
        PredictionCanceledError,
        PredictionError,
        PredictionTimeoutError,
        RateLimitError,
        StreamError,
        UnprocessableEntityError,
        WebhookVerificationError,
    )
    from dashscope._files.download import AsyncDownload
    from dashscope._files.file_output import AsyncFileOutput
    from dashscope._functions.function import AsyncModelFunction
    from dashscope._predictions.stream import AsyncEventStream
    from dashscope._sync.generated import (
        Batch,
        Client,
        Download,
        EventStream,
        FileOutput,
        ModelFunction,
    )
    from dashscope.resources.account import Account
    from dashscope.resources.collections import Collection
    from dashscope.resources.deployments import Deployment, DeploymentConfiguration, Release
    from dashscope.resources.files import File
    from dashscope.resources.hardware import Hardware
    from dashscope.resources.models import Model, Version
    from dashscope.resources.predictions import Metrics, Prediction, Progress
    from dashscope.resources.search import SearchResults
    from dashscope.resources.trainings import Training, TrainingOutput
    from dashscope.resources.webhooks import WebhookSecret
    from dashscope.types.event import (
        DoneEvent,
        Event,
        LogsEvent,
        OtherEvent,
        OutputEvent,
    )
    from dashscope.types.http import Headers, Request, Response

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "Account",
    "AsyncBatch",
    "AsyncClient",
    "AsyncDownload",
    "AsyncEventStream",
    "AsyncFileOutput",
    "AsyncModelFunction",
    "AuthenticationError",
    "BadRequestError",
    "Batch",
    "BatchProgress",
    "BatchResult",
    "CheckpointError",
    "Client",
    "Collection",
    "ConfigurationError",
    "ConflictError",
    "DashscopeError",
    "Deployment",
    "DeploymentConfiguration",
    "DoneEvent",
    "Download",
    "Event",
    "EventStream",
    "File",
    "FileError",
    "FileOutput",
    "Hardware",
    "Headers",
    "InternalServerError",
    "LogsEvent",
    "Metrics",
    "Model",
    "ModelError",
    "ModelFunction",
    "NotFoundError",
    "OtherEvent",
    "OutputEvent",
    "Page",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "Prediction",
    "PredictionCanceledError",
    "PredictionError",
    "PredictionTimeoutError",
    "Progress",
    "RateLimitError",
    "Release",
    "Request",
    "Response",
    "SearchResults",
    "StreamError",
    "Training",
    "TrainingOutput",
    "UnprocessableEntityError",
    "Version",
    "WebhookSecret",
    "WebhookVerificationError",
    "__version__",
    "progress_bar",
    "webhooks",
]

# All of it is loaded on first use: a program that needs a part of it waits for that part only, and
# a test run that has the pytest plugin installed, for nothing.
_ON_FIRST_USE: Final = {
    "APIConnectionError": "_errors",
    "APIError": "_errors",
    "APIResponseError": "_errors",
    "APIStatusError": "_errors",
    "APITimeoutError": "_errors",
    "Account": "resources.account",
    "AsyncBatch": "_batch.batch",
    "AsyncClient": "_client",
    "AsyncDownload": "_files.download",
    "AsyncEventStream": "_predictions.stream",
    "AsyncFileOutput": "_files.file_output",
    "AsyncModelFunction": "_functions.function",
    "AuthenticationError": "_errors",
    "BadRequestError": "_errors",
    "Batch": "_sync.generated",
    "BatchProgress": "_batch.row",
    "BatchResult": "_batch.row",
    "CheckpointError": "_errors",
    "Client": "_sync.generated",
    "Collection": "resources.collections",
    "ConfigurationError": "_errors",
    "ConflictError": "_errors",
    "DashscopeError": "_errors",
    "Deployment": "resources.deployments",
    "DeploymentConfiguration": "resources.deployments",
    "DoneEvent": "types.event",
    "Download": "_sync.generated",
    "Event": "types.event",
    "EventStream": "_sync.generated",
    "File": "resources.files",
    "FileError": "_errors",
    "FileOutput": "_sync.generated",
    "Hardware": "resources.hardware",
    "Headers": "types.http",
    "InternalServerError": "_errors",
    "LogsEvent": "types.event",
    "Metrics": "resources.predictions",
    "Model": "resources.models",
    "ModelError": "_errors",
    "ModelFunction": "_sync.generated",
    "NotFoundError": "_errors",
    "OtherEvent": "types.event",
    "OutputEvent": "types.event",
    "Page": "_api.pagination",
    "PaymentRequiredError": "_errors",
    "PermissionDeniedError": "_errors",
    "Prediction": "resources.predictions",
    "PredictionCanceledError": "_errors",
    "PredictionError": "_errors",
    "PredictionTimeoutError": "_errors",
    "Progress": "resources.predictions",
    "RateLimitError": "_errors",
    "Release": "resources.deployments",
    "Request": "types.http",
    "Response": "types.http",
    "SearchResults": "resources.search",
    "StreamError": "_errors",
    "Training": "resources.trainings",
    "TrainingOutput": "resources.trainings",
    "UnprocessableEntityError": "_errors",
    "Version": "resources.models",
    "WebhookSecret": "resources.webhooks",
    "WebhookVerificationError": "_errors",
    "__version__": "_config",
    "progress_bar": "_batch.progress_bar",
}


def __getattr__(name: str) -> Any:
    if name == "webhooks":
        return import_module("dashscope.webhooks")
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'dashscope' has no attribute {name!r}")
    value = getattr(import_module(f"dashscope.{_ON_FIRST_USE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
