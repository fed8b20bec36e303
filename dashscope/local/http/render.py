"""Renders models, predictions, files and other objects as JSON, like the hosted API."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from dashscope.local.jobs.runs import Run
from dashscope.local.store import Page, Store
from dashscope.local.store.folder import Signer, etag
from dashscope.local.store.jobs import LISTED_LIMIT, OMITTED
from dashscope.local.values import (
    ORIGIN,
    OWNER,
    Deployment,
    File,
    Job,
    Model,
    Version,
    parse_timestamp,
)

ACCOUNT: Final = {"type": "user", "username": OWNER, "name": "Local account"}
COG_VERSION: Final = "0.16.0"
"""Clients of the hosted service use this version number to detect features."""

T = TypeVar("T")


class Renderer:
    """Renders objects with URLs for one address of the server."""

    def __init__(self, store: Store, signer: Signer, address: str) -> None:
        self._store = store
        self._signer = signer
        self.address = address
        self._streaming: dict[str, bool] = {}
        self.base_url = f"{address}/v1"
        self.base_path = urlsplit(address).path

    def at(self, address: str) -> "Renderer":
        """Return a renderer for another address of the server."""
        renderer = Renderer(self._store, self._signer, address)
        renderer._streaming = self._streaming
        return renderer

    def localize(self, text: str) -> str:
        """Replace the address placeholder in stored text with this server's address."""
        return text.replace(ORIGIN, self.address)

    def page(
        self, page: Page[T], render: Callable[[T], dict[str, Any]], link: Callable[[str], str]
    ) -> dict[str, Any]:
        """Render a page. ``link`` returns the URL for a cursor."""
        return {
            "next": link(page.next) if page.next else None,
            "previous": link(page.previous) if page.previous else None,
            "results": [render(item) for item in page.results],
        }

    def model(self, model: Model, *, listed: bool = True) -> dict[str, Any]:
        """Render a model with its latest version."""
        version = self._store.models.version(model.latest) if model.latest else None
        example = self._store.jobs.first_example(model.full_name)
        return {
            "url": f"{self.base_url}/models/{model.full_name}",
            "owner": model.owner,
            "name": model.name,
            "description": model.description,
            "visibility": model.visibility,
            "is_official": model.owner == "dashscope",
            "github_url": model.github_url,
            "paper_url": model.paper_url,
            "license_url": model.license_url,
            "weights_url": model.weights_url,
            "run_count": model.run_count,
            "cover_image_url": model.cover_image_url,
            "default_example": self.prediction(example, listed=listed) if example else None,
            "latest_version": self.version(version) if version else None,
        }

    def version(self, version: Version) -> dict[str, Any]:
        """Render a version."""
        return {
            "id": version.id,
            "created_at": version.created_at,
            "cog_version": COG_VERSION,
            "openapi_schema": json.loads(version.schema),
        }

    def job(self, job: Job, run: Run | None = None, *, listed: bool = False) -> dict[str, Any]:
        """Render a prediction or training. ``run`` is its run if it has not finished."""
        if job.kind == "training":
            return self.training(job, run, listed=listed)
        return self.prediction(job, run, listed=listed)

    def prediction(
        self, job: Job, run: Run | None = None, *, listed: bool = False
    ) -> dict[str, Any]:
        """Render a prediction.

        In lists, it has no logs, and no input or output longer than ``LISTED_LIMIT``.
        """
        document: dict[str, Any] = {
            **self._common(job, run, listed=listed),
            "data_removed": bool(job.data_removed),
        }
        output = run.output_json() if run else job.output
        if output is None:
            document["output"] = None
        elif not (listed and is_omitted(output)):
            document["output"] = json.loads(self.localize(output))
        urls = document["urls"]
        urls["web"] = f"{self.address}/web/predictions/{job.id}"
        if self.streams(job):
            token = self._signer.stream_token(job.id)
            urls["stream"] = f"{self.base_url}/streams/{job.id}/{token}"
        if job.deployment is not None:
            document["deployment"] = job.deployment
        if job.deadline is not None:
            document["deadline"] = job.deadline
        return document

    def training(self, job: Job, run: Run | None = None, *, listed: bool = False) -> dict[str, Any]:
        """Render a training."""
        document = self._common(job, run, listed=listed)
        if job.output is not None:
            document["output"] = json.loads(job.output)
        return document

    def _common(self, job: Job, run: Run | None, *, listed: bool) -> dict[str, Any]:
        url = f"{self.base_url}/{job.kind}s/{job.id}"
        document: dict[str, Any] = {
            "id": job.id,
            "model": job.model,
            "version": job.version,
            "status": job.status,
            "source": job.source,
            "error": job.error,
            "created_at": job.created_at,
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        }
        if not (listed and is_omitted(job.input)):
            document["input"] = json.loads(job.input)
        if not listed:
            document["logs"] = run.log.text if run else job.logs
        if job.started_at is not None:
            document["started_at"] = job.started_at
        if job.completed_at is not None:
            document["completed_at"] = job.completed_at
            document["metrics"] = metrics(job)
        return document

    def streams(self, job: Job) -> bool:
        """Return whether the version of a prediction streams its output."""
        if job.version not in self._streaming:
            version = self._store.models.version(job.version)
            if version is None:
                return False
            output = json.loads(version.schema)["components"]["schemas"]["Output"]
            self._streaming[job.version] = output.get("x-cog-array-type") == "iterator"
        return self._streaming[job.version]

    def file(self, file: File) -> dict[str, Any]:
        """Render a file."""
        url = f"{self.base_url}/files/{file.id}"
        query = self._signer.query(file.id, file.expires_at)
        return {
            "id": file.id,
            "name": file.name,
            "content_type": file.content_type,
            "size": file.size,
            "etag": etag(file),
            "checksums": {"sha256": file.sha256},
            "metadata": json.loads(file.metadata),
            "created_at": file.created_at,
            "expires_at": file.expires_at,
            "urls": {"get": url, "download": f"{url}/download?{query}"},
        }

    def deployment(self, deployment: Deployment) -> dict[str, Any]:
        """Render a deployment with its current release."""
        return {
            "owner": OWNER,
            "name": deployment.name,
            "current_release": {
                "number": deployment.number,
                "model": deployment.model,
                "version": deployment.version,
                "created_at": deployment.released_at,
                "created_by": ACCOUNT,
                "configuration": {
                    "hardware": deployment.hardware,
                    "min_instances": deployment.min_instances,
                    "max_instances": deployment.max_instances,
                },
            },
        }


def is_omitted(text: str) -> bool:
    """Return whether a list omits an input or output."""
    return text == OMITTED or len(text) > LISTED_LIMIT


def metrics(job: Job) -> dict[str, float]:
    """Return the total time and the run time of a finished job, in seconds."""
    if job.completed_at is None:
        return {}
    end = parse_timestamp(job.completed_at)
    second = timedelta(seconds=1)
    measured = {"total_time": (end - parse_timestamp(job.created_at)) / second}
    if job.started_at is not None:
        measured["predict_time"] = (end - parse_timestamp(job.started_at)) / second
    return measured
