"""The pages of files, collections, hardware, webhooks and the API description."""

from typing import Any, Final

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashscope.local.http.json_schemas import SCHEMAS
from dashscope.local.http.openapi import document
from dashscope.local.http.problems import not_found
from dashscope.local.http.routes.collections import describe, models_by_collection
from dashscope.local.http.services import services
from dashscope.local.models.hardware import hardware
from dashscope.local.pages.fields import describe_type
from dashscope.local.pages.lists import ROWS
from dashscope.local.pages.result import display
from dashscope.local.pages.templating import page
from dashscope.local.store import Page
from dashscope.local.type_guards import is_dict, is_list
from dashscope.local.values import now, timestamp

ATTEMPTS: Final = 10
"""The number of attempts on the page of a webhook delivery."""

_METHODS: Final = {"x-query": "QUERY"}
"""OpenAPI has no key for the method QUERY."""


async def show_files(request: Request) -> Response:
    """Show the uploaded files."""
    parts = services(request)
    cursor = request.query_params.get("cursor")
    listed = parts.store.files.page(cursor, timestamp(now()), ROWS)
    shown = display(parts)
    base_url = parts.renderer.base_url
    items = [shown.value(f"{base_url}/files/{file.id}") for file in listed.results]
    return page(request, "files.html", listed=listed, items=items)


async def show_collections(request: Request) -> Response:
    """Show the collections with their models."""
    found = models_by_collection(services(request).store)
    collections = [{**describe(slug), "models": models} for slug, models in sorted(found.items())]
    return page(request, "collections.html", collections=collections)


async def show_hardware(request: Request) -> Response:
    """Show the hardware of this machine."""
    return page(request, "hardware.html", hardware=await hardware())


async def show_webhooks(request: Request) -> Response:
    """Show the pending webhook deliveries and the last attempts."""
    parts = services(request)
    # A page starts below the time of an attempt.
    below = request.query_params.get("cursor")
    attempts = [a for a in reversed(parts.webhooks.attempts) if below is None or a.at < below]
    shown = attempts[:ROWS]
    waiting = parts.store.deliveries.waiting(ROWS) if below is None else []
    return page(
        request,
        "webhooks.html",
        waiting=waiting,
        listed=Page(shown, shown[-1].at if len(attempts) > ROWS else None, None),
        kinds=parts.store.jobs.kinds({*(w.job for w in waiting), *(a.job for a in shown)}),
        feed=parts.feed.count,
        is_first=below is None,
    )


async def show_delivery(request: Request) -> Response:
    """Show a webhook delivery with its payload, and the responses to its last attempts."""
    parts = services(request)
    message_id: str = request.path_params["message_id"]
    attempts = [a for a in reversed(parts.webhooks.attempts) if a.id == message_id][:ATTEMPTS]
    if not attempts:
        raise not_found(f"Delivery {message_id[:100]}")
    kinds = parts.store.jobs.kinds([attempts[0].job])
    return page(request, "delivery.html", attempts=attempts, kinds=kinds, feed=parts.feed.count)


@frozen(kw_only=True)
class Member:
    """A parameter, or a member of a body."""

    name: str
    type: str
    required: bool
    place: str = ""


@frozen(kw_only=True)
class Operation:
    """An operation of the API as the page shows it."""

    id: str
    method: str
    path: str
    parameters: list[Member]
    body_type: str
    body: list[Member]
    responses: list[tuple[str, str]]


async def show_docs(request: Request) -> Response:
    """Show the operations of the API."""
    described = document(services(request).renderer.base_url)
    groups: dict[str, list[Operation]] = {}
    for path, methods in described["paths"].items():
        group = path.split("/")[1]
        for method, operation in methods.items():
            if is_dict(operation):
                groups.setdefault(group, []).append(
                    _operation(described, path, method, operation, methods["parameters"])
                )
    schemas = described["components"]["schemas"]
    return page(
        request,
        "docs.html",
        base_url=described["servers"][0]["url"],
        groups=groups,
        schemas=sorted(schemas),
    )


async def show_schema(request: Request) -> Response:
    """Show a schema of the API."""
    name: str = request.path_params["name"]
    if name not in SCHEMAS:
        raise not_found(f"Schema {name[:100]}")
    return page(request, "schema.html", name=name, schema=SCHEMAS[name])


def _operation(
    described: dict[str, Any],
    path: str,
    method: str,
    operation: dict[str, Any],
    shared: list[dict[str, Any]],
) -> Operation:
    schemas = described["components"]["schemas"]
    body_type, body = "", []
    for content in operation.get("requestBody", {}).get("content", {}).items():
        body_type = content[0]
        body = _members(schemas, content[1]["schema"])
    return Operation(
        id=operation["operationId"],
        method=_METHODS.get(method, method.upper()),
        path=path,
        parameters=[
            Member(
                name=given["name"],
                type=_type(given["schema"]),
                required=given["required"],
                place=given["in"],
            )
            for given in [*shared, *operation.get("parameters", [])]
        ],
        body_type=body_type,
        body=body,
        responses=[
            (status, _content_name(response))
            for status, response in sorted(operation["responses"].items())
            if status != "default"
        ],
    )


def _members(schemas: dict[str, Any], schema: dict[str, Any]) -> list[Member]:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: dict[str, Any] = schemas[name] if name else schema
    required = resolved.get("required", [])
    return [
        Member(name=name, type=_type(member), required=name in required)
        for name, member in resolved.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    if choices := schema.get("enum"):
        return f"one of {', '.join(map(str, choices))}"
    if is_dict(items := schema.get("items")) and (choices := items.get("enum")):
        return f"list of {', '.join(map(str, choices))}"
    if is_list(forms := schema.get("anyOf")):
        return " or ".join(_type(form) for form in forms)
    if is_list(types := schema.get("type")):
        return " or ".join(map(str, types))
    if schema.get("format") == "uri":
        return "URL"
    return describe_type(schema)


def _content_name(response: dict[str, Any]) -> str:
    for kind, content in response.get("content", {}).items():
        name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
        return name or str(kind)
    return ""


ROUTES: Final = [
    Route("/files", show_files),
    Route("/collections", show_collections),
    Route("/hardware", show_hardware),
    Route("/webhooks", show_webhooks),
    Route("/webhooks/{message_id}", show_delivery),
    Route("/docs", show_docs),
    Route("/docs/schemas/{name}", show_schema),
]
