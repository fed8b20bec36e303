"""Schemathesis with the server's OpenAPI document: no response is a 5xx."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from dashscope.local import LocalServer
from dashscope.local.http.openapi import document
from tests.local.conftest import MODELS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server of its own, which may retry the webhooks of the requests."""
    with LocalServer(models=MODELS) as running:
        yield running


KNOWN = {
    "model_owner": ["dashscope", "test"],
    "model_name": ["hello-world", "markov", "echo", "parts", "typed", "read"],
    "deployment_owner": ["local"],
    "collection_slug": ["text"],
}


def description() -> dict[str, object]:
    """The server's OpenAPI document, with existing names as examples."""
    described = document("http://127.0.0.1/v1")
    for operations in described["paths"].values():
        for parameter in operations["parameters"]:
            names = KNOWN.get(parameter["name"])
            if names:
                parameter["schema"] = {"anyOf": [{"enum": names}, {"type": "string"}]}
    return {**described, "servers": [{"url": "/v1"}]}


SCHEMA = schemathesis.openapi.from_dict(description())


@SCHEMA.parametrize()
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_no_response_is_a_5xx(case: "schemathesis.Case", server: LocalServer) -> None:
    response = case.call(base_url=server.base_url)
    assert response.status_code < 500, response.text
    assert response.status_code == 304 or not 300 <= response.status_code < 400
    if response.status_code >= 400 and response.content:
        assert response.headers["content-type"][0].startswith("application/problem+json")
