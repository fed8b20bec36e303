"""`"owner/name"` as one or two strings, calls without inputs, and hints for other clients."""

from __future__ import annotations

from typing import Any

import pytest

import dashscope
from dashscope import Client, Deployment, Model, NotFoundError, Training
from dashscope._files.file_output import wrap_file_outputs
from tests.servers.fake_server import FakeServer, prediction, reply

ITEM = {
    "id": "v1", "owner": "a", "name": "b", "status": "succeeded", "results": [],
}  # fmt: skip


async def test_owner_and_name_may_be_one_string(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(ITEM))
    client, empty = scripted_client, {"input": {}}
    models, deployments = client.models, client.deployments
    model, deployment = "/v1/models/a/b", "/v1/deployments/a/b"
    for call, arguments, path in (
        (models.get, {}, model),
        (models.update, {"description": "x"}, model),
        (models.delete, {}, model),
        (models.predictions.create, empty, f"{model}/predictions"),
        (models.versions.list, {}, f"{model}/versions"),
        (models.examples.list, {}, f"{model}/examples"),
        (models.readme.get, {}, f"{model}/readme"),
        (deployments.get, {}, deployment),
        (deployments.update, {"hardware": "cpu"}, deployment),
        (deployments.delete, {}, deployment),
        (deployments.predictions.create, empty, f"{deployment}/predictions"),
    ):
        for names in (("a", "b"), ("a/b",)):
            await call(*names, **arguments)
            assert fake_server.requests[-1].path == path
    training = {"destination": "a/c", "input": {}}
    for call, arguments, path in (
        (models.versions.get, {}, f"{model}/versions/v1"),
        (models.versions.delete, {}, f"{model}/versions/v1"),
        (client.trainings.create, training, f"{model}/versions/v1/trainings"),
    ):
        for names in (("a", "b", "v1"), ("a/b", "v1"), ("a/b:v1",)):
            await call(*names, **arguments)
            assert fake_server.requests[-1].path == path
        await call("a/b", version_id="v1", **arguments)
        assert fake_server.requests[-1].path == path
    await models.create("a/b", visibility="private", hardware="cpu")
    assert fake_server.requests[-1].json["owner"] == "a"
    assert fake_server.requests[-1].json["name"] == "b"


async def test_missing_and_extra_names_are_errors(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    models = scripted_client.models
    for names, error, message in (
        (("a",), TypeError, "name is missing: pass owner, name"),
        (("a/b", "c"), TypeError, "'a/b' and 'c' are too many names"),
        (("a/b:v1",), TypeError, "too many names"),
        (("a/b/c",), ValueError, "must be owner/name, not 'a/b/c'"),
        (("/b",), ValueError, "must be owner/name"),
        ((5, "b"), TypeError, "owner must be a str"),
    ):
        with pytest.raises(error, match=message):
            await models.get(*names)
    with pytest.raises(TypeError, match="version_id is missing"):
        await models.versions.get("a/b")
    assert fake_server.requests == []


async def test_a_model_runs_without_inputs(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output="done"), 201))
    assert await scripted_client.run("owner/name") == "done"
    assert fake_server.requests[-1].json["input"] == {}
    async with scripted_client.stream("owner/name"):
        pass
    assert fake_server.requests[-1].json["input"] == {}


async def test_arguments_of_other_clients_get_a_hint(
    make_client: Any, scripted_client: Any, fake_server: FakeServer
) -> None:
    with pytest.raises(TypeError, match=r"no argument 'model': .*version='owner/name'"):
        await scripted_client.predictions.create(model="owner/name", input={})
    with pytest.raises(TypeError, match=r"no argument 'limit': use client\.iterate\(.*max_items"):
        await scripted_client.predictions.list(limit=5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        await scripted_client.predictions.list(other=5)
    bare = fake_server.base_url.removesuffix("/v1")
    with pytest.raises(NotFoundError, match=rf"The base URL has no path\. Set it to {bare}/v1\."):
        await make_client(base_url=f"{bare}/").account.get()
    with pytest.raises(NotFoundError) as caught:
        await scripted_client.account.get()
    assert "base URL" not in str(caught.value)
    for name in ("run", "predictions", "async_run"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}'\. Create a client first"):
            getattr(dashscope, name)
    with pytest.raises(AttributeError, match=r"'ReplicateError'\. Use APIStatusError"):
        dashscope.ReplicateError  # noqa: B018
    for model in ({"model": "owner/name", "version": "v1"}, {"version": "owner/name:v1"}):
        with pytest.raises(TypeError, match="client.trainings.create\\('owner/name"):
            await scripted_client.trainings.create(**model, destination="me/mine", input={})
    for value, name, hint in (
        (Training(id="t1", status="starting"), "reload", "client.trainings.get"),
        (Model(owner="owner", name="name"), "versions", "client.models.versions.list"),
        (Deployment(owner="owner", name="name"), "predictions", "client.deployments.predictions"),
    ):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}'\. .*{hint}"):
            getattr(value, name)
    api = scripted_client._api if hasattr(scripted_client, "_api") else Client()._async._api
    output = wrap_file_outputs("https://example.com/a.png", api)
    with pytest.raises(AttributeError, match=r"no attribute 'url'\. A file output is its URL"):
        output.url  # noqa: B018
    assert not hasattr(output, "nothing")
