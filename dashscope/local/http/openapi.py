"""The server's own OpenAPI description, served at ``/openapi.json``."""

from typing import Final

from dashscope.local.http.json_schemas import INTEGER, SCHEMAS, STRING, Schema, ref


def query(name: str, schema: Schema | None = None, *, required: bool = False) -> Schema:
    """Return a query parameter."""
    return {"name": name, "in": "query", "required": required, "schema": schema or STRING}


def header(name: str, pattern: str) -> Schema:
    """Return a request header."""
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "schema": schema}


CURSOR: Final = query("cursor")
CREATES: Final = [
    header("Prefer", "^wait(=([1-9]|[1-5][0-9]|60))?$"),
    header("Cancel-After", "^([0-9]+h)?([0-9]+m)?([0-9]+s?)?$"),
]


def operation(
    name: str,
    answer: str | None,
    *statuses: int,
    parameters: list[Schema] | None = None,
    body: str | None = None,
    media_type: str = "application/json",
) -> Schema:
    """Return an operation with its responses, parameters and request body."""
    responses: Schema = {
        "default": {
            "description": "A problem",
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        }
    }
    for status in statuses or (200,):
        responses[str(status)] = {"description": "Done"}
        if answer is not None:
            content = {"schema": ref(answer)} if answer in SCHEMAS else {"schema": STRING}
            kind = "application/json" if answer in SCHEMAS else answer
            responses[str(status)]["content"] = {kind: content}
    described: Schema = {"operationId": name, "responses": responses}
    if parameters:
        described["parameters"] = parameters
    if body is not None:
        schema = ref(body) if body in SCHEMAS else STRING
        described["requestBody"] = {"required": True, "content": {media_type: {"schema": schema}}}
    return described


_MODEL: Final = "/models/{model_owner}/{model_name}"
_VERSION: Final = f"{_MODEL}/versions/{{version_id}}"
_DEPLOYMENT: Final = "/deployments/{deployment_owner}/{deployment_name}"

PATHS: Final[dict[str, Schema]] = {
    "/account": {"get": operation("account.get", "Account")},
    "/hardware": {"get": operation("hardware.list", "Hardware")},
    "/webhooks/default/secret": {"get": operation("webhooks.default.secret.get", "Secret")},
    "/collections": {"get": operation("collections.list", "CollectionPage")},
    "/collections/{collection_slug}": {"get": operation("collections.get", "Collection")},
    "/search": {
        "get": operation(
            "search",
            "Search",
            parameters=[
                query("query", {"type": "string", "minLength": 1}, required=True),
                query("limit", {"type": "integer", "minimum": 1, "maximum": 50}),
            ],
        )
    },
    "/models": {
        "get": operation(
            "models.list",
            "ModelPage",
            parameters=[
                CURSOR,
                query("sort_by", {"enum": ["model_created_at", "latest_version_created_at"]}),
                query("sort_direction", {"enum": ["asc", "desc"]}),
            ],
        ),
        "post": operation("models.create", "Model", 201, body="CreateModel"),
        "x-query": operation("models.search", "ModelPage", body="text", media_type="text/plain"),
    },
    _MODEL: {
        "get": operation("models.get", "Model"),
        "patch": operation("models.update", "Model", body="UpdateModel"),
        "delete": operation("models.delete", None, 204),
    },
    f"{_MODEL}/readme": {"get": operation("models.readme.get", "text/plain")},
    f"{_MODEL}/examples": {
        "get": operation("models.examples.list", "PredictionPage", parameters=[CURSOR])
    },
    f"{_MODEL}/predictions": {
        "post": operation(
            "models.predictions.create",
            "Prediction",
            201,
            202,
            parameters=CREATES,
            body="CreatePrediction",
        )
    },
    f"{_MODEL}/versions": {
        "get": operation("models.versions.list", "VersionPage", parameters=[CURSOR])
    },
    _VERSION: {
        "get": operation("models.versions.get", "Version"),
        "delete": operation("models.versions.delete", None, 202),
    },
    f"{_VERSION}/trainings": {
        "post": operation("trainings.create", "Training", 201, body="CreateTraining")
    },
    "/predictions": {
        "get": operation(
            "predictions.list",
            "PredictionPage",
            parameters=[
                CURSOR,
                query("created_after", {"type": "string", "format": "date-time"}),
                query("created_before", {"type": "string", "format": "date-time"}),
                query("source", {"enum": ["web"]}),
            ],
        ),
        "post": operation(
            "predictions.create",
            "Prediction",
            201,
            202,
            parameters=CREATES,
            body="CreateVersionPrediction",
        ),
    },
    "/predictions/{prediction_id}": {"get": operation("predictions.get", "Prediction")},
    "/predictions/{prediction_id}/cancel": {"post": operation("predictions.cancel", "Prediction")},
    "/trainings": {"get": operation("trainings.list", "TrainingPage", parameters=[CURSOR])},
    "/trainings/{training_id}": {"get": operation("trainings.get", "Training")},
    "/trainings/{training_id}/cancel": {"post": operation("trainings.cancel", "Training")},
    "/deployments": {
        "get": operation("deployments.list", "DeploymentPage", parameters=[CURSOR]),
        "post": operation("deployments.create", "Deployment", body="CreateDeployment"),
    },
    _DEPLOYMENT: {
        "get": operation("deployments.get", "Deployment"),
        "patch": operation("deployments.update", "Deployment", body="UpdateDeployment"),
        "delete": operation("deployments.delete", None, 204),
    },
    f"{_DEPLOYMENT}/predictions": {
        "post": operation(
            "deployments.predictions.create",
            "Prediction",
            201,
            202,
            parameters=CREATES,
            body="CreatePrediction",
        )
    },
    "/files": {
        "get": operation("files.list", "FilePage", parameters=[CURSOR]),
        "post": operation(
            "files.create", "File", 201, body="Upload", media_type="multipart/form-data"
        ),
    },
    "/files/{file_id}": {
        "get": operation("files.get", "File"),
        "delete": operation("files.delete", None, 204),
    },
    "/files/{file_id}/download": {
        "get": operation(
            "files.download",
            "application/octet-stream",
            200,
            206,
            304,
            parameters=[
                query("owner", required=True),
                query("expiry", INTEGER, required=True),
                query("signature", required=True),
            ],
        )
    },
}


def path_parameters(path: str) -> list[Schema]:
    """Return the parameters in braces of a path."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": STRING} for name in names]


def document(base_url: str) -> Schema:
    """Return the OpenAPI description of the server at a base URL."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Dashscope local server", "version": "1.0.0"},
        "servers": [{"url": base_url}],
        "paths": {
            path: {**operations, "parameters": path_parameters(path)}
            for path, operations in PATHS.items()
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }
