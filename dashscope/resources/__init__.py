"""The resources of the API: one module per resource, with its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope.resources.account import AsyncAccountResource
    from dashscope.resources.collections import AsyncCollections
    from dashscope.resources.deployments import AsyncDeploymentPredictions, AsyncDeployments
    from dashscope.resources.files import AsyncFiles
    from dashscope.resources.hardware import AsyncHardwareResource
    from dashscope.resources.models import (
        AsyncModelExamples,
        AsyncModelPredictions,
        AsyncModelReadme,
        AsyncModels,
        AsyncModelVersions,
    )
    from dashscope.resources.predictions import AsyncPredictions
    from dashscope.resources.raw import (
        AsyncRawAccount,
        AsyncRawClient,
        AsyncRawCollections,
        AsyncRawDefaultWebhook,
        AsyncRawDeploymentPredictions,
        AsyncRawDeployments,
        AsyncRawFiles,
        AsyncRawHardware,
        AsyncRawModelExamples,
        AsyncRawModelPredictions,
        AsyncRawModelReadme,
        AsyncRawModels,
        AsyncRawModelVersions,
        AsyncRawPredictions,
        AsyncRawTrainings,
        AsyncRawWebhooks,
        AsyncRawWebhookSecret,
    )
    from dashscope.resources.trainings import AsyncTrainings
    from dashscope.resources.webhooks import (
        AsyncDefaultWebhook,
        AsyncWebhooks,
        AsyncWebhookSecretResource,
    )

__all__ = [
    "AsyncAccountResource",
    "AsyncCollections",
    "AsyncDefaultWebhook",
    "AsyncDeploymentPredictions",
    "AsyncDeployments",
    "AsyncFiles",
    "AsyncHardwareResource",
    "AsyncModelExamples",
    "AsyncModelPredictions",
    "AsyncModelReadme",
    "AsyncModelVersions",
    "AsyncModels",
    "AsyncPredictions",
    "AsyncRawAccount",
    "AsyncRawClient",
    "AsyncRawCollections",
    "AsyncRawDefaultWebhook",
    "AsyncRawDeploymentPredictions",
    "AsyncRawDeployments",
    "AsyncRawFiles",
    "AsyncRawHardware",
    "AsyncRawModelExamples",
    "AsyncRawModelPredictions",
    "AsyncRawModelReadme",
    "AsyncRawModelVersions",
    "AsyncRawModels",
    "AsyncRawPredictions",
    "AsyncRawTrainings",
    "AsyncRawWebhookSecret",
    "AsyncRawWebhooks",
    "AsyncTrainings",
    "AsyncWebhookSecretResource",
    "AsyncWebhooks",
]

# Annotations use these as `resources.X`: they resolve at run time without loading the modules.
__getattr__ = exports(
    __name__,
    {
        "AsyncAccountResource": "account",
        "AsyncCollections": "collections",
        "AsyncDefaultWebhook": "webhooks",
        "AsyncDeploymentPredictions": "deployments",
        "AsyncDeployments": "deployments",
        "AsyncFiles": "files",
        "AsyncHardwareResource": "hardware",
        "AsyncModelExamples": "models",
        "AsyncModelPredictions": "models",
        "AsyncModelReadme": "models",
        "AsyncModelVersions": "models",
        "AsyncModels": "models",
        "AsyncPredictions": "predictions",
        "AsyncRawAccount": "raw",
        "AsyncRawClient": "raw",
        "AsyncRawCollections": "raw",
        "AsyncRawDefaultWebhook": "raw",
        "AsyncRawDeploymentPredictions": "raw",
        "AsyncRawDeployments": "raw",
        "AsyncRawFiles": "raw",
        "AsyncRawHardware": "raw",
        "AsyncRawModelExamples": "raw",
        "AsyncRawModelPredictions": "raw",
        "AsyncRawModelReadme": "raw",
        "AsyncRawModelVersions": "raw",
        "AsyncRawModels": "raw",
        "AsyncRawPredictions": "raw",
        "AsyncRawTrainings": "raw",
        "AsyncRawWebhookSecret": "raw",
        "AsyncRawWebhooks": "raw",
        "AsyncTrainings": "trainings",
        "AsyncWebhookSecretResource": "webhooks",
        "AsyncWebhooks": "webhooks",
    },
)
