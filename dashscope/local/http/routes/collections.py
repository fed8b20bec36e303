"""Routes for ``/collections`` and ``/search``."""

import json
import re
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.services import services
from dashscope.local.models.catalog import COLLECTIONS
from dashscope.local.store import Store
from dashscope.local.values import Model


def models_by_collection(store: Store) -> dict[str, list[Model]]:
    """Return the public models of each collection, keyed by slug."""
    found: dict[str, list[Model]] = {}
    for model in store.models.all():
        if model.visibility == "public":
            for slug in json.loads(model.collections):
                found.setdefault(slug, []).append(model)
    return found


def describe(slug: str) -> dict[str, Any]:
    """Render a collection without its models."""
    name, description = COLLECTIONS.get(slug, (slug.replace("-", " ").capitalize(), ""))
    return {"name": name, "slug": slug, "description": description}


def score(model: Model, words: list[str]) -> float:
    """Return how well a model matches a query. The name counts more than the description."""
    name = model.full_name.lower()
    text = f"{model.description or ''} {model.readme or ''}".lower()
    return sum(3.0 * (word in name) + 1.0 * (word in text) for word in words)


def find_models(store: Store, query: str, *, private: bool = False) -> list[tuple[float, Model]]:
    """Return the models that match a query, best match first. Private models are an option."""
    words = re.findall(r"\w+", query.lower())
    scored = [(score(model, words), model) for model in store.models.all()]
    fitting = [
        pair for pair in scored if pair[0] > 0 and (private or pair[1].visibility == "public")
    ]
    return sorted(fitting, key=lambda pair: -pair[0])


async def list_collections(request: Request) -> JSONResponse:
    """Handle ``collections.list``."""
    results = [describe(slug) for slug in sorted(models_by_collection(services(request).store))]
    return JSONResponse({"next": None, "previous": None, "results": results})


async def get_collection(request: Request) -> JSONResponse:
    """Handle ``collections.get``."""
    parts = services(request)
    slug: str = request.path_params["collection_slug"]
    models = models_by_collection(parts.store).get(slug)
    if models is None:
        raise not_found(f"Collection {slug}")
    rendered = [parts.renderer.model(model) for model in models]
    return JSONResponse({**describe(slug), "full_description": None, "models": rendered})


def read_limit(request: Request) -> int:
    """Return the maximum number of models in a search result."""
    text = request.query_params.get("limit", "20")
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= 50:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"limit must be 1 to 50, not {text[:50]!r}.")
    return int(text)


async def search(request: Request) -> JSONResponse:
    """Handle ``search``."""
    parts = services(request)
    query = request.query_params.get("query", "").strip()
    if not query:
        raise ProblemError(HTTPStatus.BAD_REQUEST, 'Query parameter "query" is required.')
    limit = read_limit(request)
    words = re.findall(r"\w+", query.lower())
    collections = [
        {**describe(slug), "models": [model.full_name for model in models]}
        for slug, models in sorted(models_by_collection(parts.store).items())
        if any(word in f"{slug} {describe(slug)['description']}".lower() for word in words)
    ]
    return JSONResponse(
        {
            "query": query,
            "models": [
                {
                    "model": parts.renderer.model(model),
                    "metadata": {
                        "generated_description": model.readme,
                        "tags": json.loads(model.collections),
                        "score": found,
                    },
                }
                for found, model in find_models(parts.store, query)[:limit]
            ],
            "collections": collections,
            "pages": [],
        }
    )


ROUTES: Final = [
    Route("/collections", list_collections),
    Route("/collections/{collection_slug}", get_collection),
    Route("/search", search),
]
