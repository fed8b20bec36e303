"""JSON schemas of the API's request and response bodies."""

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
    "error": TEXT,
    "created_at": TIME,
}
_LATER: Final[dict[str, Schema]] = {
    "logs": STRING,
    "started_at": TIME,
    "completed_at": TIME,
    "metrics": obj({"total_time": NUMBER}, {"predict_time": NUMBER}),
}
_PREDICTION: Final[dict[str, Schema]] = {
    **_JOB,
    "data_removed": {"type": "boolean"},
    "urls": obj({"web": URI, "get": URI, "cancel": URI}, {"stream": URI}),
}
_PREDICTION_LATER: Final[dict[str, Schema]] = {**_LATER, "deadline": TIME, "deployment": STRING}
_TRAINING: Final[dict[str, Schema]] = {**_JOB, "urls": obj({"get": URI, "cancel": URI})}
_TRAINING_LATER: Final[dict[str, Schema]] = {
    **_LATER,
    "output": obj({"version": {"type": "string", "pattern": "^[^/]+/[^/:]+:[0-9a-f]{64}$"}}),
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
            "default_example": {"anyOf": [ref("ListedPrediction"), {"type": "null"}]},
            "latest_version": {"anyOf": [ref("Version"), {"type": "null"}]},
            **_LINKS,
        },
        {"weights_url": TEXT},
    ),
    "Prediction": obj({**_PREDICTION, "input": ANY_OBJECT, "output": {}}, _PREDICTION_LATER),
    "ListedPrediction": obj(_PREDICTION, {**_PREDICTION_LATER, "input": ANY_OBJECT, "output": {}}),
    "Training": obj({**_TRAINING, "input": ANY_OBJECT}, _TRAINING_LATER),
    "ListedTraining": obj(_TRAINING, {**_TRAINING_LATER, "input": ANY_OBJECT}),
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
    "PredictionPage": listed(ref("ListedPrediction")),
    "TrainingPage": listed(ref("ListedTraining")),
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
