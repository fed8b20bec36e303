"""Every resource of the API, against a local server."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from dashscope import AsyncClient, Client, ConflictError, NotFoundError, PermissionDeniedError
from dashscope.local import LocalServer


async def test_account(client: Any) -> None:
    account = await client.account.get()
    assert (account.username, account.type) == ("local", "user")


async def test_hardware(client: Any) -> None:
    hardware = await client.hardware.list()
    assert "cpu" in [kind.sku for kind in hardware]
    assert all(kind.name for kind in hardware)


async def test_collections(client: Any) -> None:
    assert "tests" in [found.slug for found in await client.collections.list()]
    collection = await client.collections.get("tests")
    assert [f"{model.owner}/{model.name}" for model in collection.models] == ["test/echo"]
    with pytest.raises(NotFoundError):
        await client.collections.get("nothing")


async def test_models(client: Any) -> None:
    names = [f"{model.owner}/{model.name}" async for model in client.iterate(client.models.list)]
    assert {"dashscope/hello-world", "test/echo"} <= set(names)
    assert "test/hidden" not in names
    assert len(names) == len(set(names))
    hidden = await client.models.get("test", "hidden")
    assert hidden.visibility == "private"
    oldest = await client.models.list(sort_by="model_created_at", sort_direction="asc")
    newest = await client.models.list(sort_by="model_created_at", sort_direction="desc")
    assert [model.name for model in oldest] == [model.name for model in newest][::-1]


async def test_a_model_has_an_input_schema(client: Any) -> None:
    model = await client.models.get("test", "echo")
    assert model.description == "Return the input."
    assert (await client.models.readme.get("test", "echo")).startswith("# echo")
    schema = model.latest_version.openapi_schema["components"]["schemas"]
    assert schema["Input"]["properties"]["value"]["description"] == "Any JSON."
    (example,) = await client.models.examples.list("test", "echo")
    assert (example.status, example.output) == ("succeeded", "a")


async def test_model_versions(client: Any) -> None:
    model = await client.models.get("test", "echo")
    versions = await client.models.versions.list("test", "echo")
    assert [version.id for version in versions] == [model.latest_version.id]
    assert await client.models.versions.get("test", "echo", versions[0].id) == versions[0]
    with pytest.raises(NotFoundError):
        await client.models.versions.get("test", "echo", "0" * 64)


async def test_models_can_be_created_updated_and_deleted(client: Any, flavor: str) -> None:
    name = f"mine-{flavor}"
    made = await client.models.create(
        "local", name, visibility="private", hardware="cpu", description="first"
    )
    assert (made.owner, made.name, made.latest_version) == ("local", name, None)
    with pytest.raises(ConflictError):
        await client.models.create("local", name, visibility="private", hardware="cpu")
    changed = await client.models.update("local", name, description="second", readme="# Mine")
    assert changed.description == "second"
    emptied = await client.models.update("local", name, description="")
    assert not emptied.description
    assert await client.models.readme.get("local", name) == "# Mine"
    await client.models.delete("local", name)
    with pytest.raises(NotFoundError):
        await client.models.get("local", name)
    with pytest.raises(PermissionDeniedError):
        await client.models.delete("test", "echo")


async def test_deployments_can_be_created_updated_and_deleted(client: Any, flavor: str) -> None:
    version = (await client.models.get("test", "echo")).latest_version
    name = f"life-{flavor}"
    made = await client.deployments.create(
        name=name,
        model="test/echo",
        version=version.id,
        hardware="cpu",
        min_instances=0,
        max_instances=2,
    )
    assert (made.owner, made.current_release.number) == ("local", 1)
    changed = await client.deployments.update("local", name, max_instances=3)
    assert changed.current_release.number == 2
    assert changed.current_release.configuration.max_instances == 3
    assert await client.deployments.get("local", name) == changed
    assert name in [found.name async for found in client.iterate(client.deployments.list)]
    await client.deployments.delete("local", name)
    with pytest.raises(NotFoundError):
        await client.deployments.get("local", name)


async def test_search(client: Any) -> None:
    found = await client.search("hello", limit=5)
    assert found.query == "hello"
    assert "hello-world" in [result.model.name for result in found.models]
    assert "hello-world" in [model.name for model in await client.models.search("hello")]
    assert len(await client.models.search("xyzzyplugh")) == 0


async def test_webhook_secret(client: Any) -> None:
    secret = await client.webhooks.default.secret.get()
    assert secret.key.startswith("whsec_")
    assert secret.key not in repr(secret)
    assert await client.webhooks.default.secret.get() == secret


async def test_a_training_creates_a_version_that_runs(
    client: Any, flavor: str, tmp_path: Path
) -> None:
    book = tmp_path / "book.txt"
    book.write_text("the cat saw the dog and the dog saw the cat and " * 20)
    base = (await client.models.get("dashscope", "markov")).latest_version
    name = f"style-{flavor}"
    await client.models.create("local", name, visibility="private", hardware="cpu")
    training = await client.trainings.create(
        "dashscope", "markov", base.id, destination=f"local/{name}", input={"text": book}
    )
    seen: list[str] = []
    done = await client.trainings.wait(training, progress=lambda t: seen.append(t.status))
    assert done.status == seen[-1] == "succeeded"
    assert "Learned" in done.logs
    assert await client.trainings.get(training) == done
    assert await client.wait(done) == done
    assert done.id in [found.id async for found in client.iterate(client.trainings.list)]
    assert done.output.version.startswith(f"local/{name}:")
    words = "".join(
        await client.run(done.output.version, {"prompt": "the cat", "length": 20, "seed": 1})
    ).split()
    assert len(words) == 20
    assert set(words) <= {"the", "cat", "saw", "dog", "and"}
    await client.models.versions.delete("local", name, done.output.version.partition(":")[2])
    await client.models.delete("local", name)


async def test_a_failed_training_has_an_error(client: Any, flavor: str) -> None:
    base = (await client.models.get("dashscope", "markov")).latest_version
    name = f"failed-{flavor}"
    await client.models.create("local", name, visibility="private", hardware="cpu")
    training = await client.trainings.create(
        "dashscope", "markov", base.id, destination=f"local/{name}", input={"text": b"short"}
    )
    done = await client.trainings.wait(training.id)
    assert done.status == "failed"
    assert "more than 2 words" in done.error
    assert (await client.trainings.cancel(done)).status == "failed"


@frozen
class SeveralPages:
    """Create predictions for several pages, and return the times before and after."""

    ids: tuple[str, ...]
    span: dict[str, datetime]


@pytest.fixture(scope="session")
def several_pages(server: LocalServer, observer: Client) -> SeveralPages:
    async def create() -> tuple[str, ...]:
        async with AsyncClient(base_url=server.base_url) as client:
            made = await asyncio.gather(
                *(client.models.predictions.create("test", "echo", input={}) for _ in range(201))
            )
        return tuple(prediction.id for prediction in made)

    first = observer.models.predictions.create("test", "echo", input={}, wait=10)
    ids = asyncio.run(create())
    last = observer.models.predictions.create("test", "echo", input={}, wait=10)
    assert first.created_at is not None
    assert last.created_at is not None
    after = first.created_at + timedelta(microseconds=1)
    return SeveralPages(ids, {"created_after": after, "created_before": last.created_at})


async def test_a_page_has_a_hundred_items_newest_first(
    client: Any, several_pages: SeveralPages
) -> None:
    page = await client.predictions.list(**several_pages.span)
    assert len(page) == 100
    times = [prediction.created_at for prediction in page]
    assert times == sorted(times, reverse=True)
    following = await client.predictions.list(**several_pages.span, cursor=page.next)
    assert len(following) == 100
    assert not {p.id for p in page} & {p.id for p in following}
    back = await client.predictions.list(**several_pages.span, cursor=following.previous)
    assert [p.id for p in back] == [p.id for p in page]


async def test_paginate_yields_all_pages(client: Any, several_pages: SeveralPages) -> None:
    pages = [page async for page in client.paginate(client.predictions.list, **several_pages.span)]
    assert [len(page) for page in pages] == [100, 100, 1]
    assert {prediction.id for page in pages for prediction in page} == set(several_pages.ids)


async def test_iterate_yields_all_items(client: Any, several_pages: SeveralPages) -> None:
    items = client.iterate(client.predictions.list, **several_pages.span)
    ids = [prediction.id async for prediction in items]
    assert len(ids) == 201
    assert set(ids) == set(several_pages.ids)


async def test_iterate_stops_at_max_items(client: Any, several_pages: SeveralPages) -> None:
    for most in (0, 1, 100, 101, 1000):
        items = client.iterate(client.predictions.list, max_items=most, **several_pages.span)
        assert len([item async for item in items]) == min(most, 201)


async def test_breaking_early_requests_no_further_page(
    client: Any, several_pages: SeveralPages, server: LocalServer
) -> None:
    before = len(server.requests)
    items = client.iterate(client.predictions.list, **several_pages.span)
    async for _ in items:
        break
    await items.aclose()
    await client.account.get()  # so that earlier requests have been recorded
    requested = [request.path for request in server.requests[before:]]
    assert requested.count("/v1/predictions") == 1
