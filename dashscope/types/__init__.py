"""The values that the API returns, and the requests and responses that carry them.

```python
from dashscope.types import Page, Prediction
```

Every value has `to_dict()` and `to_json()`, and is a pydantic field and a FastAPI response model.
Except for the `*URLs` classes and `Page`, it is also a read-only mapping of its fields. `cattrs`
would treat it as any mapping, and needs a hook:

```python
import cattrs

converter = cattrs.Converter()
converter.register_unstructure_hook(Prediction, lambda prediction: prediction.to_dict())
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope.types.account import Account
    from dashscope.types.batch import BatchProgress, BatchResult
    from dashscope.types.collection import Collection
    from dashscope.types.deployment import Deployment, DeploymentConfiguration, Release
    from dashscope.types.event import DoneEvent, Event, LogsEvent, OtherEvent, OutputEvent
    from dashscope.types.file import Checksums, File, FileURLs
    from dashscope.types.hardware import Hardware
    from dashscope.types.http import FilePart, FileSource, Headers, RawResponse, Request, Response
    from dashscope.types.model import Model, Version
    from dashscope.types.page import Page
    from dashscope.types.prediction import Metrics, Prediction, PredictionURLs, Progress
    from dashscope.types.search import (
        FoundCollection,
        FoundModel,
        FoundPage,
        SearchMetadata,
        SearchResults,
    )
    from dashscope.types.training import Training, TrainingOutput
    from dashscope.types.webhook_secret import WebhookSecret

__all__ = [
    "Account",
    "BatchProgress",
    "BatchResult",
    "Checksums",
    "Collection",
    "Deployment",
    "DeploymentConfiguration",
    "DoneEvent",
    "Event",
    "File",
    "FilePart",
    "FileSource",
    "FileURLs",
    "FoundCollection",
    "FoundModel",
    "FoundPage",
    "Hardware",
    "Headers",
    "LogsEvent",
    "Metrics",
    "Model",
    "OtherEvent",
    "OutputEvent",
    "Page",
    "Prediction",
    "PredictionURLs",
    "Progress",
    "RawResponse",
    "Release",
    "Request",
    "Response",
    "SearchMetadata",
    "SearchResults",
    "Training",
    "TrainingOutput",
    "Version",
    "WebhookSecret",
]

__getattr__ = exports(
    __name__,
    {
        "Account": "account",
        "BatchProgress": "batch",
        "BatchResult": "batch",
        "Checksums": "file",
        "Collection": "collection",
        "Deployment": "deployment",
        "DeploymentConfiguration": "deployment",
        "DoneEvent": "event",
        "Event": "event",
        "File": "file",
        "FilePart": "http",
        "FileSource": "http",
        "FileURLs": "file",
        "FoundCollection": "search",
        "FoundModel": "search",
        "FoundPage": "search",
        "Hardware": "hardware",
        "Headers": "http",
        "LogsEvent": "event",
        "Metrics": "prediction",
        "Model": "model",
        "OtherEvent": "event",
        "OutputEvent": "event",
        "Page": "page",
        "Prediction": "prediction",
        "PredictionURLs": "prediction",
        "Progress": "prediction",
        "RawResponse": "http",
        "Release": "deployment",
        "Request": "http",
        "Response": "http",
        "SearchMetadata": "search",
        "SearchResults": "search",
        "Training": "training",
        "TrainingOutput": "training",
        "Version": "model",
        "WebhookSecret": "webhook_secret",
    },
)
