"""The server's own OpenAPI description, served at ``/openapi.json``."""

from typing import Any, Final

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object."""
    schema: Schema = {"type": "object", "properties": {**required, **(optional or {})}}
    return {**schema, "required": list(required)} if required else schema


def listed(items: Schema) -> Schema:
    """Return the schema of a page."""
    link = {"type": ["string", "null"], "format": "uri"}
    return obj({"next": link, "previous": link, "results": {"type": "array", "items": items}})


STRING: Final[Schema] = {"type": "string"}
TEXT: Final[Schema] = {"type": ["string", "null"]}
URI: Final[Schema] = {"type": "string", "format": "uri"}
TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
}
INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
ANY_OBJECT: Final[Schema] = {"type": "object"}
ID: Final[Schema] = {"type": "string", "pattern": "^[a-z2-7]{26}$"}
VERSION_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
FULL_NAME: Final[Schema] = {"type": "string", "pattern": "^[^/]+/[^/]+$"}
NAME: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,127}$"}
SKU: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 100}
STATUS: Final[Schema] = {
    "enum": ["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
}
EVENTS: Final[Schema] = {
    "type": "array",
    "items": {"enum": ["start", "output", "logs", "completed"]},
}
MIN_INSTANCES: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 5}
MAX_INSTANCES: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 20}

_JOB: Final[dict[str, Schema]] = {
    "id": ID,
    "model": FULL_NAME,
    "version": VERSION_ID,
    "status": STATUS,
    "source": {"enum": ["api", "web"]},
    "input": ANY_OBJECT,
    "error": TEXT,
    "created_at": TIME,
}
_LATER: Final[dict[str, Schema]] = {
    "logs": STRING,
    "started_at": TIME,
    "completed_at": TIME,
    "metrics": obj({"total_time": NUMBER}, {"predict_time": NUMBER}),
}
_WEBHOOK: Final[dict[str, Schema]] = {"webhook": URI, "webhook_events_filter": EVENTS}
_LINKS: Final[dict[str, Schema]] = {
    "github_url": TEXT,
    "paper_url": TEXT,
    "license_url": TEXT,
}

SCHEMAS: Final[dict[str, Schema]] = {
    "Problem": obj(
        {"title": STRING, "detail": STRING, "status": INTEGER}, {"retry_after": INTEGER}
    ),
    "Account": obj(
        {"type": {"enum": ["user", "organization"]}, "username": STRING, "name": STRING}
    ),
    "Hardware": {"type": "array", "minItems": 1, "items": obj({"sku": STRING, "name": STRING})},
    "Secret": obj({"key": {"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$"}}),
    "CollectionItem": obj({"name": STRING, "slug": STRING, "description": STRING}),
    "Collection": obj(
        {
            "name": STRING,
            "slug": STRING,
            "description": STRING,
            "full_description": TEXT,
            "models": {"type": "array", "items": ref("Model")},
        }
    ),
    "Version": obj(
        {
            "id": VERSION_ID,
            "created_at": TIME,
            "cog_version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
            "openapi_schema": obj(
                {
                    "openapi": STRING,
                    "info": ANY_OBJECT,
                    "paths": ANY_OBJECT,
                    "components": obj(
                        {"schemas": obj({"Input": ANY_OBJECT, "Output": ANY_OBJECT})}
                    ),
                }
            ),
        }
    ),
    "Model": obj(
        {
            "url": URI,
            "owner": STRING,
            "name": STRING,
            "description": TEXT,
            "visibility": {"enum": ["public", "private"]},
            "is_official": {"type": "boolean"},
            "run_count": {"type": "integer", "minimum": 0},
            "cover_image_url": TEXT,
            "default_example": {"anyOf": [ref("Prediction"), {"type": "null"}]},
            "latest_version": {"anyOf": [ref("Version"), {"type": "null"}]},
            **_LINKS,
        },
        {"weights_url": TEXT},
    ),
    "Prediction": obj(
        {
            **_JOB,
            "output": {},
            "data_removed": {"type": "boolean"},
            "urls": obj({"web": URI, "get": URI, "cancel": URI}, {"stream": URI}),
        },
        {**_LATER, "deadline": TIME, "deployment": STRING},
    ),
    "Training": obj(
        {**_JOB, "urls": obj({"get": URI, "cancel": URI})},
        {
            **_LATER,
            "output": obj(
                {"version": {"type": "string", "pattern": "^[^/]+/[^/:]+:[0-9a-f]{64}$"}}
            ),
        },
    ),
    "File": obj(
        {
            "id": ID,
            "name": STRING,
            "content_type": STRING,
            "size": {"type": "integer", "minimum": 0},
            "etag": STRING,
            "checksums": obj({"sha256": VERSION_ID}),
            "metadata": ANY_OBJECT,
            "created_at": TIME,
            "expires_at": TIME,
            "urls": obj({"get": URI, "download": URI}),
        }
    ),
    "Deployment": obj(
        {
            "owner": STRING,
            "name": STRING,
            "current_release": obj(
                {
                    "number": {"type": "integer", "minimum": 1},
                    "model": FULL_NAME,
                    "version": VERSION_ID,
                    "created_at": TIME,
                    "created_by": ref("Account"),
                    "configuration": obj(
                        {
                            "hardware": STRING,
                            "min_instances": MIN_INSTANCES,
                            "max_instances": MAX_INSTANCES,
                        }
                    ),
                }
            ),
        }
    ),
    "Search": obj(
        {
            "query": STRING,
            "models": {
                "type": "array",
                "items": obj(
                    {
                        "model": ref("Model"),
                        "metadata": obj(
                            {
                                "generated_description": TEXT,
                                "tags": {"type": "array", "items": STRING},
                                "score": NUMBER,
                            }
                        ),
                    }
                ),
            },
            "collections": {
                "type": "array",
                "items": obj(
                    {
                        "name": STRING,
                        "slug": STRING,
                        "description": STRING,
                        "models": {"type": "array", "items": FULL_NAME},
                    }
                ),
            },
            "pages": {"type": "array"},
        }
    ),
    "CollectionPage": listed(ref("CollectionItem")),
    "ModelPage": listed(ref("Model")),
    "VersionPage": listed(ref("Version")),
    "PredictionPage": listed(ref("Prediction")),
    "TrainingPage": listed(ref("Training")),
    "FilePage": listed(ref("File")),
    "DeploymentPage": listed(ref("Deployment")),
    "CreatePrediction": obj({"input": ANY_OBJECT}, {"stream": {"type": "boolean"}, **_WEBHOOK}),
    "CreateVersionPrediction": obj(
        {"version": STRING, "input": ANY_OBJECT}, {"stream": {"type": "boolean"}, **_WEBHOOK}
    ),
    "CreateTraining": obj({"destination": FULL_NAME, "input": ANY_OBJECT}, _WEBHOOK),
    "CreateModel": obj(
        {
            "owner": NAME,
            "name": NAME,
            "visibility": {"enum": ["public", "private"]},
            "hardware": SKU,
        },
        {"description": TEXT, "cover_image_url": TEXT, **_LINKS},
    ),
    "UpdateModel": obj({}, {"description": TEXT, "readme": TEXT, "weights_url": TEXT, **_LINKS}),
    "CreateDeployment": obj(
        {
            "name": NAME,
            "model": FULL_NAME,
            "version": STRING,
            "hardware": SKU,
            "min_instances": MIN_INSTANCES,
            "max_instances": MAX_INSTANCES,
        }
    ),
    "UpdateDeployment": obj(
        {},
        {
            "version": STRING,
            "hardware": SKU,
            "min_instances": MIN_INSTANCES,
            "max_instances": MAX_INSTANCES,
        },
    ),
    "Upload": obj(
        {"content": {"type": "string", "format": "binary"}},
        {
            "filename": {"type": "string", "maxLength": 255},
            "type": STRING,
            "metadata": {"type": "object"},
        },
    ),
}


def query(name: str, schema: Schema | None = None, *, required: bool = False) -> Schema:
    """Return a parameter of the query."""
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
    """Return an operation: what it answers with, and with which statuses."""
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
    """Return the parameters in a path's braces."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": STRING} for name in names]


def document(base_url: str) -> Schema:
    """Return the description of the server at this address."""
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
