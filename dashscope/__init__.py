"""Run models over the Dashscope HTTP API, async or sync.

```python
from dashscope import AsyncClient, Client
```

Guides, each shown by `dashscope docs TOPIC` or `dashscope.guides.read(TOPIC)`:

    quickstart               Quickstart
    configuration            Authentication and configuration
    files                    Files in inputs and outputs
    streaming                Output while the model runs
    functions                Models as functions, and tools for agents
    batches                  Batches: one model, many inputs
    scaling-out              Batches on a cluster
    timeouts                 Timeouts and cancellation
    errors                   Errors and retries
    web-applications         FastAPI, Django, Flask and Celery
    webhooks                 Webhooks
    testing                  Tests with local models and recordings
    tracing                  Traces and logs
    tools                    Your tools
    command-line             The command line
    local-server             The local server
    deploying-the-server     Deploying the server
    notebooks                Notebooks and data frames
    trainings                Trainings and deployments
    from-replicate           Migrating from replicate
    from-javascript          Migrating from JavaScript
    troubleshooting          Error messages, their causes and fixes
    troubleshooting-batches  Error messages of files, batches and webhooks
    performance              Performance
    how-it-works             How it works
    versioning               Versions and deprecations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports
from dashscope.types._pickles import register_moved_modules

if TYPE_CHECKING:
    from dashscope import webhooks
    from dashscope._batch.batch import AsyncBatch
    from dashscope._batch.progress_bar import progress_bar
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
    from dashscope._transport.http_transports import AsyncHTTPTransport, HTTPTransport
    from dashscope.types.account import Account
    from dashscope.types.batch import BatchProgress, BatchResult
    from dashscope.types.collection import Collection
    from dashscope.types.deployment import Deployment, DeploymentConfiguration, Release
    from dashscope.types.event import DoneEvent, Event, LogsEvent, OtherEvent, OutputEvent
    from dashscope.types.file import File
    from dashscope.types.hardware import Hardware
    from dashscope.types.http import Headers, RawResponse, Request, Response
    from dashscope.types.model import Model, Version
    from dashscope.types.page import Page
    from dashscope.types.prediction import Metrics, Prediction, Progress
    from dashscope.types.search import SearchResults
    from dashscope.types.training import Training, TrainingOutput
    from dashscope.types.webhook_secret import WebhookSecret

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
    "AsyncHTTPTransport",
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
    "HTTPTransport",
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
    "RawResponse",
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

# A program waits only for the parts it uses. The pytest plugin, which every test run imports,
# costs nothing.
__getattr__ = exports(
    __name__,
    {
        "APIConnectionError": "_errors",
        "APIError": "_errors",
        "APIResponseError": "_errors",
        "APIStatusError": "_errors",
        "APITimeoutError": "_errors",
        "Account": "types.account",
        "AsyncBatch": "_batch.batch",
        "AsyncClient": "_client",
        "AsyncDownload": "_files.download",
        "AsyncEventStream": "_predictions.stream",
        "AsyncFileOutput": "_files.file_output",
        "AsyncHTTPTransport": "_transport.http_transports",
        "AsyncModelFunction": "_functions.function",
        "AuthenticationError": "_errors",
        "BadRequestError": "_errors",
        "Batch": "_sync.generated",
        "BatchProgress": "types.batch",
        "BatchResult": "types.batch",
        "CheckpointError": "_errors",
        "Client": "_sync.generated",
        "Collection": "types.collection",
        "ConfigurationError": "_errors",
        "ConflictError": "_errors",
        "DashscopeError": "_errors",
        "Deployment": "types.deployment",
        "DeploymentConfiguration": "types.deployment",
        "DoneEvent": "types.event",
        "Download": "_sync.generated",
        "Event": "types.event",
        "EventStream": "_sync.generated",
        "File": "types.file",
        "FileError": "_errors",
        "FileOutput": "_sync.generated",
        "HTTPTransport": "_transport.http_transports",
        "Hardware": "types.hardware",
        "Headers": "types.http",
        "InternalServerError": "_errors",
        "LogsEvent": "types.event",
        "Metrics": "types.prediction",
        "Model": "types.model",
        "ModelError": "_errors",
        "ModelFunction": "_sync.generated",
        "NotFoundError": "_errors",
        "OtherEvent": "types.event",
        "OutputEvent": "types.event",
        "Page": "types.page",
        "PaymentRequiredError": "_errors",
        "PermissionDeniedError": "_errors",
        "Prediction": "types.prediction",
        "PredictionCanceledError": "_errors",
        "PredictionError": "_errors",
        "PredictionTimeoutError": "_errors",
        "Progress": "types.prediction",
        "RateLimitError": "_errors",
        "RawResponse": "types.http",
        "Release": "types.deployment",
        "Request": "types.http",
        "Response": "types.http",
        "SearchResults": "types.search",
        "StreamError": "_errors",
        "Training": "types.training",
        "TrainingOutput": "types.training",
        "UnprocessableEntityError": "_errors",
        "Version": "types.model",
        "WebhookSecret": "types.webhook_secret",
        "WebhookVerificationError": "_errors",
        "__version__": "_config",
        "progress_bar": "_batch.progress_bar",
        "webhooks": "webhooks",
    },
    hints={
        name: f"Create a client first: Client().{attribute}, or AsyncClient().{attribute}"
        for name, attribute in {
            "run": "run(...)",
            "async_run": "run(...)",
            "stream": "stream(...)",
            "async_stream": "stream(...)",
            "use": "use(...)",
            "search": "search(...)",
            "collections": "collections",
            "deployments": "deployments",
            "files": "files",
            "hardware": "hardware",
            "models": "models",
            "paginate": "paginate(...)",
            "predictions": "predictions",
            "trainings": "trainings",
        }.items()
    }
    | {
        "AsyncReplicate": "Use AsyncClient",
        "Replicate": "Use Client",
        "ReplicateError": "Use APIStatusError, or its base class DashscopeError",
    },
)

register_moved_modules()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
