"""The operations of the API: their requests and the responses of a server.

`full` responses have every documented field. `minimal` responses have only the required fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import field, frozen

from dashscope import (
    Account,
    Collection,
    Deployment,
    File,
    Hardware,
    Model,
    Prediction,
    SearchResults,
    Training,
    Version,
    WebhookSecret,
)

WRITTEN = "2026-01-02T03:04:05.678901234Z"
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

ACCOUNT = {
    "type": "organization",
    "username": "acme",
    "name": "Acme Corp, Inc.",
    "avatar_url": "https://example.com/acme.png",
    "github_url": "https://github.com/acme",
}
VERSION = {
    "id": "5c7d5dc6",
    "created_at": WRITTEN,
    "cog_version": "0.3.9",
    "openapi_schema": {"openapi": "3.0.2", "components": {"schemas": {"Input": {"x": None}}}},
}
PREDICTION = {
    "id": "p1",
    "model": "acme/hello-world",
    "version": "5c7d5dc6",
    "input": {"text": "Alice", "deep": [{"a": None}]},
    "output": ["hello ", {"to": "Alice"}, 1, None],
    "logs": "Running\n",
    "error": "",
    "status": "succeeded",
    "created_at": WRITTEN,
    "started_at": WRITTEN,
    "completed_at": WRITTEN,
    "deadline": WRITTEN,
    "deployment": "acme/app",
    "source": "api",
    "data_removed": False,
    "metrics": {"predict_time": 1.5, "total_time": 2},
    "urls": {
        "get": "https://api.example.com/v1/predictions/gm3q",
        "cancel": "https://api.example.com/v1/predictions/gm3q/cancel",
        "stream": "https://stream.example.com/v1/gm3q",
        "web": "https://example.com/p/gm3q",
    },
}
MODEL = {
    "url": "https://example.com/acme/hello-world",
    "owner": "acme",
    "name": "hello-world",
    "description": "Says hello",
    "visibility": "public",
    "github_url": "https://github.com/acme/hello-world",
    "paper_url": "https://example.com/paper",
    "license_url": "https://example.com/license",
    "cover_image_url": "https://example.com/cover.png",
    "run_count": 5681081,
    "is_official": True,
    "default_example": PREDICTION,
    "latest_version": VERSION,
}
COLLECTION = {
    "name": "Super resolution",
    "slug": "super-resolution",
    "description": "Models that upscale",
    "full_description": "# Upscaling",
    "models": [MODEL],
}
DEPLOYMENT = {
    "owner": "acme",
    "name": "app",
    "current_release": {
        "number": 2,
        "model": "acme/hello-world",
        "version": "5c7d5dc6",
        "created_at": WRITTEN,
        "created_by": ACCOUNT,
        "configuration": {"hardware": "gpu-t4", "min_instances": 1, "max_instances": 5},
    },
}
FILE = {
    "id": "f1",
    "name": "photo.png",
    "content_type": "image/png",
    "size": 69420,
    "etag": "f047f8",
    "checksums": {"sha256": "f047f8e7"},
    "metadata": {"customer": {"id": 123}},
    "created_at": WRITTEN,
    "expires_at": WRITTEN,
    "urls": {"get": "https://api.example.com/v1/files/cneqz"},
}
TRAINING = {
    "id": "t1",
    "model": "acme/hello-world",
    "version": "5c7d5dc6",
    "input": {"text": "..."},
    "output": {"version": "acme/mine:abc", "weights": "https://example.com/weights.tar"},
    "error": "none",
    "logs": "",
    "metrics": {"predict_time": 0.5, "total_time": 1.25},
    "status": "succeeded",
    "created_at": WRITTEN,
    "started_at": WRITTEN,
    "completed_at": WRITTEN,
    "source": "web",
    "urls": {
        "get": "https://api.example.com/v1/trainings/zz4i",
        "cancel": "https://api.example.com/v1/trainings/zz4i/cancel",
        "stream": "https://stream.example.com/v1/zz4i",
        "web": "https://example.com/t/zz4i",
    },
}
SEARCH = {
    "query": "hello",
    "models": [
        {
            "model": MODEL,
            "metadata": {
                "generated_description": "It greets",
                "tags": ["text", "greeting"],
                "score": 0.75,
            },
        }
    ],
    "collections": [
        {
            "name": "Super resolution",
            "slug": "super-resolution",
            "description": "Models that upscale",
            "models": ["acme/hello-world"],
        }
    ],
    "pages": [{"name": "Docs", "href": "/docs"}],
}

MINIMAL: Mapping[type, dict[str, Any]] = {
    Account: {"username": "acme"},
    Collection: {"slug": "super-resolution"},
    Deployment: {"owner": "acme", "name": "app"},
    File: {"id": "f1"},
    Hardware: {"sku": "cpu"},
    Model: {"owner": "acme", "name": "hello-world"},
    Prediction: {"id": "p1", "status": "starting"},
    SearchResults: {},
    Training: {"id": "t1", "status": "starting"},
    Version: {"id": "5c7d5dc6"},
    WebhookSecret: {"key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
}
FULL: Mapping[type, dict[str, Any]] = {
    Account: ACCOUNT,
    Collection: COLLECTION,
    Deployment: DEPLOYMENT,
    File: FILE,
    Hardware: {"sku": "gpu-t4", "name": "Nvidia T4 GPU"},
    Model: MODEL,
    Prediction: PREDICTION,
    SearchResults: SEARCH,
    Training: TRAINING,
    Version: VERSION,
    WebhookSecret: MINIMAL[WebhookSecret],
}

HOOK: dict[str, Any] = {
    "webhook": "https://example.com/hook",
    "webhook_events_filter": ["start", "completed"],
}
CREATE: dict[str, Any] = {
    "input": {"text": "Alice"},
    "wait": 7,
    "cancel_after": "1h30m",
    "stream": True,
    **HOOK,
}
CREATED = {"input": {"text": "Alice"}, "stream": True, **HOOK}
CREATE_HEADERS = {"Prefer": "wait=7", "Cancel-After": "5400s"}

NEXT = "http://elsewhere.example.com/v9/other?cursor=a%2Fb%3D%3D&extra=1"
"""A page's `next` as the hosted service sends it: with its own address, over http."""


@frozen
class Operation:
    """An operation: how to call it, the expected request, and its response.

    `call` has every argument, and `least` only the required ones. `answer` is the type of the
    response, and `holds` says whether the response is a page or a list of it.
    """

    name: str
    method: str
    path: str
    call: Callable[[Any], Awaitable[Any]]
    answer: type | None
    body: Any = None
    headers: Mapping[str, str] = field(factory=dict)
    holds: str = "one"
    least: Callable[[Any], Awaitable[Any]] | None = None
    least_path: str | None = None
    least_body: Any = None
    status: int = 200

    def answered(self, kind: Mapping[type, dict[str, Any]]) -> Any:
        """Return the JSON of a response from FULL or MINIMAL."""
        if self.answer is None:
            return None
        if self.holds == "list":
            return [kind[self.answer], kind[self.answer]]
        if self.holds == "page":
            url = NEXT if kind is FULL else None
            return {"results": [kind[self.answer]] * 2, "next": url, "previous": url}
        return kind[self.answer]

    def __str__(self) -> str:
        return self.name


OPERATIONS = [
    Operation("account.get", "GET", "/account", lambda c: c.account.get(), Account),
    Operation(
        "collections.list",
        "GET",
        "/collections?cursor=c2",
        lambda c: c.collections.list(cursor="c2"),
        Collection,
        holds="page",
        least=lambda c: c.collections.list(),
        least_path="/collections",
    ),
    Operation(
        "collections.get",
        "GET",
        "/collections/super-resolution",
        lambda c: c.collections.get("super-resolution"),
        Collection,
    ),
    Operation(
        "deployments.list",
        "GET",
        "/deployments?cursor=c2",
        lambda c: c.deployments.list(cursor="c2"),
        Deployment,
        holds="page",
        least=lambda c: c.deployments.list(),
        least_path="/deployments",
    ),
    Operation(
        "deployments.create",
        "POST",
        "/deployments",
        lambda c: c.deployments.create(
            name="app",
            model="acme/hello-world",
            version="5c7d5dc6",
            hardware="gpu-t4",
            min_instances=0,
            max_instances=5,
        ),
        Deployment,
        body={
            "name": "app",
            "model": "acme/hello-world",
            "version": "5c7d5dc6",
            "hardware": "gpu-t4",
            "min_instances": 0,
            "max_instances": 5,
        },
    ),
    Operation(
        "deployments.get",
        "GET",
        "/deployments/acme/app",
        lambda c: c.deployments.get("acme", "app"),
        Deployment,
    ),
    Operation(
        "deployments.update",
        "PATCH",
        "/deployments/acme/app",
        lambda c: c.deployments.update(
            "acme", "app", version="v2", hardware="cpu", min_instances=0, max_instances=0
        ),
        Deployment,
        body={"version": "v2", "hardware": "cpu", "min_instances": 0, "max_instances": 0},
        least=lambda c: c.deployments.update("acme", "app"),
        least_body={},
    ),
    Operation(
        "deployments.delete",
        "DELETE",
        "/deployments/acme/app",
        lambda c: c.deployments.delete("acme", "app"),
        None,
        status=204,
    ),
    Operation(
        "deployments.predictions.create",
        "POST",
        "/deployments/acme/app/predictions",
        lambda c: c.deployments.predictions.create("acme", "app", **CREATE),
        Prediction,
        body=CREATED,
        headers=CREATE_HEADERS,
        least=lambda c: c.deployments.predictions.create("acme", "app", input={}),
        least_body={"input": {}},
        status=201,
    ),
    Operation(
        "files.list",
        "GET",
        "/files?cursor=c2",
        lambda c: c.files.list(cursor="c2"),
        File,
        holds="page",
        least=lambda c: c.files.list(),
        least_path="/files",
    ),
    Operation("files.get", "GET", "/files/f1", lambda c: c.files.get("f1"), File),
    Operation(
        "files.delete", "DELETE", "/files/f1", lambda c: c.files.delete("f1"), None, status=204
    ),
    Operation(
        "hardware.list", "GET", "/hardware", lambda c: c.hardware.list(), Hardware, holds="list"
    ),
    Operation(
        "models.list",
        "GET",
        "/models?sort_by=model_created_at&sort_direction=asc&cursor=c2",
        lambda c: c.models.list(sort_by="model_created_at", sort_direction="asc", cursor="c2"),
        Model,
        holds="page",
        least=lambda c: c.models.list(),
        least_path="/models",
    ),
    Operation(
        "models.create",
        "POST",
        "/models",
        lambda c: c.models.create(
            "acme",
            "hello-world",
            visibility="private",
            hardware="cpu",
            description="Says hello",
            github_url="https://github.com/x",
            paper_url="https://example.com/paper",
            license_url="https://example.com/license",
            cover_image_url="https://example.com/cover.png",
        ),
        Model,
        body={
            "owner": "acme",
            "name": "hello-world",
            "visibility": "private",
            "hardware": "cpu",
            "description": "Says hello",
            "github_url": "https://github.com/x",
            "paper_url": "https://example.com/paper",
            "license_url": "https://example.com/license",
            "cover_image_url": "https://example.com/cover.png",
        },
        least=lambda c: c.models.create("acme", "m", visibility="public", hardware="cpu"),
        least_body={"owner": "acme", "name": "m", "visibility": "public", "hardware": "cpu"},
        status=201,
    ),
    Operation(
        "models.search",
        "QUERY",
        "/models",
        lambda c: c.models.search("größe & höhe"),
        Model,
        body="größe & höhe",
        headers={"Content-Type": "text/plain; charset=utf-8"},
        holds="page",
        least_body="größe & höhe",
    ),
    Operation(
        "models.get",
        "GET",
        "/models/acme/hello-world",
        lambda c: c.models.get("acme", "hello-world"),
        Model,
    ),
    Operation(
        "models.update",
        "PATCH",
        "/models/acme/hello-world",
        lambda c: c.models.update(
            "acme",
            "hello-world",
            description="",
            readme="# Hello",
            github_url="https://github.com/x",
            paper_url="https://example.com/paper",
            license_url="https://example.com/license",
            weights_url="https://example.com/weights",
        ),
        Model,
        body={
            "description": "",
            "readme": "# Hello",
            "github_url": "https://github.com/x",
            "paper_url": "https://example.com/paper",
            "license_url": "https://example.com/license",
            "weights_url": "https://example.com/weights",
        },
        least=lambda c: c.models.update("acme", "hello-world"),
        least_body={},
    ),
    Operation(
        "models.delete",
        "DELETE",
        "/models/acme/hello-world",
        lambda c: c.models.delete("acme", "hello-world"),
        None,
        status=204,
    ),
    Operation(
        "models.examples.list",
        "GET",
        "/models/acme/hello-world/examples?cursor=c2",
        lambda c: c.models.examples.list("acme", "hello-world", cursor="c2"),
        Prediction,
        holds="page",
        least=lambda c: c.models.examples.list("acme", "hello-world"),
        least_path="/models/acme/hello-world/examples",
    ),
    Operation(
        "models.predictions.create",
        "POST",
        "/models/acme/hello-world/predictions",
        lambda c: c.models.predictions.create("acme", "hello-world", **CREATE),
        Prediction,
        body=CREATED,
        headers=CREATE_HEADERS,
        least=lambda c: c.models.predictions.create("acme", "hello-world", input={}),
        least_body={"input": {}},
        status=202,
    ),
    Operation(
        "models.versions.list",
        "GET",
        "/models/acme/hello-world/versions?cursor=c2",
        lambda c: c.models.versions.list("acme", "hello-world", cursor="c2"),
        Version,
        holds="page",
        least=lambda c: c.models.versions.list("acme", "hello-world"),
        least_path="/models/acme/hello-world/versions",
    ),
    Operation(
        "models.versions.get",
        "GET",
        "/models/acme/hello-world/versions/5c7d5dc6",
        lambda c: c.models.versions.get("acme", "hello-world", "5c7d5dc6"),
        Version,
    ),
    Operation(
        "models.versions.delete",
        "DELETE",
        "/models/acme/hello-world/versions/5c7d5dc6",
        lambda c: c.models.versions.delete("acme", "hello-world", "5c7d5dc6"),
        None,
        status=202,
    ),
    Operation(
        "predictions.create",
        "POST",
        "/predictions",
        lambda c: c.predictions.create(version="acme/hello-world:5c7d5dc6", **CREATE),
        Prediction,
        body={"version": "acme/hello-world:5c7d5dc6", **CREATED},
        headers=CREATE_HEADERS,
        least=lambda c: c.predictions.create(version="5c7d5dc6", input={}),
        least_body={"version": "5c7d5dc6", "input": {}},
        status=201,
    ),
    Operation(
        "predictions.get", "GET", "/predictions/p1", lambda c: c.predictions.get("p1"), Prediction
    ),
    Operation(
        "predictions.list",
        "GET",
        "/predictions?created_after=2026-01-02T03%3A04%3A05.678901%2B00%3A00"
        "&created_before=2026-01-03T03%3A04%3A05.678901%2B00%3A00&source=web&cursor=c2",
        lambda c: c.predictions.list(
            created_after=TIME, created_before=TIME + timedelta(days=1), source="web", cursor="c2"
        ),
        Prediction,
        holds="page",
        least=lambda c: c.predictions.list(),
        least_path="/predictions",
    ),
    Operation(
        "predictions.cancel",
        "POST",
        "/predictions/p1/cancel",
        lambda c: c.predictions.cancel("p1"),
        Prediction,
    ),
    Operation(
        "search",
        "GET",
        "/search?query=gr%C3%B6%C3%9Fe+%26+h%C3%B6he&limit=50",
        lambda c: c.search("größe & höhe", limit=50),
        SearchResults,
        least=lambda c: c.search("hello"),
        least_path="/search?query=hello",
    ),
    Operation(
        "trainings.create",
        "POST",
        "/models/acme/hello-world/versions/5c7d5dc6/trainings",
        lambda c: c.trainings.create(
            "acme", "hello-world", "5c7d5dc6", destination="acme/mine", input={"a": 1}, **HOOK
        ),
        Training,
        body={"destination": "acme/mine", "input": {"a": 1}, **HOOK},
        least=lambda c: c.trainings.create("a", "b", "c", destination="acme/mine", input={}),
        least_path="/models/a/b/versions/c/trainings",
        least_body={"destination": "acme/mine", "input": {}},
        status=201,
    ),
    Operation("trainings.get", "GET", "/trainings/t1", lambda c: c.trainings.get("t1"), Training),
    Operation(
        "trainings.list",
        "GET",
        "/trainings?cursor=c2",
        lambda c: c.trainings.list(cursor="c2"),
        Training,
        holds="page",
        least=lambda c: c.trainings.list(),
        least_path="/trainings",
    ),
    Operation(
        "trainings.cancel",
        "POST",
        "/trainings/t1/cancel",
        lambda c: c.trainings.cancel("t1"),
        Training,
    ),
    Operation(
        "webhooks.default.secret.get",
        "GET",
        "/webhooks/default/secret",
        lambda c: c.webhooks.default.secret.get(),
        WebhookSecret,
    ),
]
"""All operations except those whose bodies are not JSON, which other tests check."""

NOT_JSON = ["files.create", "files.download", "models.readme.get"]
