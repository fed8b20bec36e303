"""Pagination: cursors, page URLs, `paginate()` and `iterate()`."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dashscope import APIResponseError, AsyncClient, NotFoundError, Page, Prediction
from tests.resources.contract import NEXT, OPERATIONS
from tests.servers.fake_server import FakeServer, Received, Reply, reply
from tests.variants import variants

EMPTY = {"results": [], "next": None, "previous": None}

LISTS: list[Any] = [
    (lambda c, **k: c.collections.list(**k), "GET /v1/collections"),
    (lambda c, **k: c.deployments.list(**k), "GET /v1/deployments"),
    (lambda c, **k: c.files.list(**k), "GET /v1/files"),
    (lambda c, **k: c.models.list(**k), "GET /v1/models"),
    (lambda c, **k: c.models.search("x", **k), "QUERY /v1/models"),
    (lambda c, **k: c.models.examples.list("a", "b", **k), "GET /v1/models/a/b/examples"),
    (lambda c, **k: c.models.versions.list("a", "b", **k), "GET /v1/models/a/b/versions"),
    (lambda c, **k: c.predictions.list(**k), "GET /v1/predictions"),
    (lambda c, **k: c.trainings.list(**k), "GET /v1/trainings"),
]


def test_the_table_contains_every_list_operation() -> None:
    assert len(LISTS) == sum(operation.holds == "page" for operation in OPERATIONS)


async def test_every_list_accepts_a_cursor_or_a_page_url(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(EMPTY))
    for call, requested in LISTS:
        fake_server.requests.clear()
        await call(scripted_client, cursor="b==")
        await call(scripted_client, cursor=NEXT)
        await call(scripted_client, cursor="https://127.0.0.1:1/?cursor=&x=1&x=2")
        assert fake_server.request_lines == [
            f"{requested}?cursor=b%3D%3D",
            f"{requested}?cursor=a%2Fb%3D%3D&extra=1",
            f"{requested}?cursor=&x=1&x=2",
        ]


async def test_the_query_of_a_page_url_overrides_the_arguments(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(EMPTY))
    await scripted_client.models.list(
        sort_by="model_created_at", sort_direction="asc", cursor="http://x/?cursor=c2&sort_by=other"
    )
    assert fake_server.request_lines == [
        "GET /v1/models?sort_direction=asc&cursor=c2&sort_by=other"
    ]


def three_pages(received: Received) -> Reply:
    """Three pages with five predictions, with URLs like those of the hosted service."""
    query = dict(parse_qsl(urlsplit(received.path).query))
    number = int(query.get("cursor", "1"))
    kept = "".join(f"&{name}={value}" for name, value in query.items() if name != "cursor")

    def url(page: int) -> str | None:
        return f"http://api.example.com/v1/elsewhere?cursor={page}{kept}" if 0 < page < 4 else None

    ids = {1: ["p1", "p2"], 2: ["p3", "p4"], 3: ["p5"]}[number]
    results = [{"id": id, "status": "succeeded"} for id in ids]
    return reply({"results": results, "next": url(number + 1), "previous": url(number - 1)})


async def test_paginate_yields_all_pages(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(three_pages)
    pages = [page async for page in scripted_client.paginate(scripted_client.predictions.list)]
    assert [[prediction.id for prediction in page] for page in pages] == [
        ["p1", "p2"],
        ["p3", "p4"],
        ["p5"],
    ]
    assert all(type(page) is Page for page in pages)
    # The server's URLs name another host. Only their query is used, with our base URL.
    assert fake_server.request_lines == [
        "GET /v1/predictions",
        "GET /v1/predictions?cursor=2",
        "GET /v1/predictions?cursor=3",
    ]


async def test_paginate_passes_its_arguments_to_the_method(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(three_pages)
    pages = scripted_client.paginate(scripted_client.models.versions.list, "a", "b", cursor="2")
    assert [version.id async for page in pages for version in page] == ["p3", "p4", "p5"]
    assert fake_server.request_lines == [
        "GET /v1/models/a/b/versions?cursor=2",
        "GET /v1/models/a/b/versions?cursor=3",
    ]


async def test_paginate_keeps_the_filters(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(three_pages)
    async for _ in scripted_client.paginate(scripted_client.predictions.list, source="web"):
        pass
    assert [
        dict(parse_qsl(urlsplit(requested).query)) for requested in fake_server.request_lines
    ] == [
        {"source": "web"},
        {"cursor": "2", "source": "web"},
        {"cursor": "3", "source": "web"},
    ]


async def test_paginate_keeps_the_query_of_a_search(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    model = {"owner": "a", "name": "b"}
    fake_server.respond_with(
        [reply({"results": [model], "next": NEXT}), reply({"results": [model]})]
    )
    found = [
        model async for model in scripted_client.iterate(scripted_client.models.search, "größe")
    ]
    assert len(found) == 2
    assert fake_server.request_lines == [
        "QUERY /v1/models",
        "QUERY /v1/models?cursor=a%2Fb%3D%3D&extra=1",
    ]
    assert [received.body.decode() for received in fake_server.requests] == ["größe", "größe"]


async def test_iterate_yields_the_items_of_all_pages(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(three_pages)
    items = [item async for item in scripted_client.iterate(scripted_client.predictions.list)]
    assert [type(item) for item in items] == [Prediction] * 5
    assert [item.id for item in items] == [f"p{number}" for number in range(1, 6)]


@variants(
    ("most", "ids", "requests"),
    [
        (0, [], 0),
        (1, ["p1"], 1),
        (2, ["p1", "p2"], 1),
        (3, ["p1", "p2", "p3"], 2),
        (100, ["p1", "p2", "p3", "p4", "p5"], 3),
    ],
)
async def test_max_items_requests_no_unneeded_page(
    scripted_client: Any, fake_server: FakeServer, most: int, ids: list[str], requests: int
) -> None:
    fake_server.respond_with(three_pages)
    items = scripted_client.iterate(scripted_client.predictions.list, max_items=most)
    assert [item.id async for item in items] == ids
    assert len(fake_server.requests) == requests


async def test_breaking_early_requests_no_further_page(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(three_pages)
    async with aclosing(scripted_client.iterate(scripted_client.predictions.list)) as items:
        async for item in items:
            assert item.id == "p1"
            break
    async with aclosing(scripted_client.paginate(scripted_client.predictions.list)) as pages:
        async for page in pages:
            assert len(page) == 2
            break
    assert len(fake_server.requests) == 2
    # The iterator is exhausted.
    assert [item async for item in items] == []
    assert len(fake_server.requests) == 2


def test_paginate_and_iterate_are_async_generators() -> None:
    client = AsyncClient()
    assert inspect.isasyncgen(client.paginate(client.predictions.list))
    assert inspect.isasyncgen(client.iterate(client.predictions.list))


async def test_an_empty_page_ends_the_iteration(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    first = {"results": [{"id": "p1", "status": "starting"}], "next": "http://x/?cursor=2"}
    fake_server.respond_with([reply(first), reply({"results": [], "next": "http://x/?cursor=3"})])
    assert [
        item.id async for item in scripted_client.iterate(scripted_client.predictions.list)
    ] == ["p1"]
    assert len(fake_server.requests) == 2


async def test_an_empty_list_yields_one_empty_page(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"results": [], "next": "http://x/?cursor=2"}))
    assert [
        len(page) async for page in scripted_client.paginate(scripted_client.predictions.list)
    ] == [0]
    assert [item async for item in scripted_client.iterate(scripted_client.predictions.list)] == []
    assert len(fake_server.requests) == 2


@variants("round_trip", [["2"], ["2", "3"], ["2", "3", "4"]])
async def test_a_cycle_of_pages_is_an_error(
    scripted_client: Any, fake_server: FakeServer, round_trip: list[str]
) -> None:
    following = dict(zip(round_trip, [*round_trip[1:], round_trip[0]], strict=True))

    def script(received: Received) -> Reply:
        cursor = dict(parse_qsl(urlsplit(received.path).query)).get("cursor")
        url = "http://x/?cursor=" + (round_trip[0] if cursor is None else following[cursor])
        return reply({"results": [{"id": "p1", "status": "starting"}], "next": url})

    fake_server.respond_with(script)
    with pytest.raises(APIResponseError, match="cycle"):
        [item async for item in scripted_client.iterate(scripted_client.predictions.list)]
    assert len(fake_server.requests) == len(round_trip) + 1


async def test_an_error_on_a_later_page_is_raised_at_that_page(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    first = {"results": [{"id": "p1", "status": "starting"}], "next": "http://x/?cursor=2"}
    fake_server.respond_with([reply(first), reply({"detail": "no such page"}, 404)])
    items = aiter(scripted_client.iterate(scripted_client.predictions.list))
    assert (await anext(items)).id == "p1"
    with pytest.raises(NotFoundError, match="no such page"):
        await anext(items)


@variants("wrong", [None, "predictions.list", 5])
async def test_an_invalid_method_is_rejected_at_once(
    scripted_client: Any, fake_server: FakeServer, wrong: Any
) -> None:
    with pytest.raises(TypeError, match=r"client\.predictions\.list"):
        scripted_client.paginate(wrong)
    with pytest.raises(TypeError, match=r"client\.predictions\.list"):
        scripted_client.iterate(wrong)
    assert fake_server.requests == []


@variants(
    ("most", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]
)
async def test_max_items_must_be_an_integer(
    scripted_client: Any, fake_server: FakeServer, most: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="max_items"):
        scripted_client.iterate(scripted_client.predictions.list, max_items=most)
    assert fake_server.requests == []


@variants("go", ["paginate", "iterate"])
async def test_a_method_that_returns_no_pages_is_rejected(
    scripted_client: Any, fake_server: FakeServer, go: str
) -> None:
    fake_server.respond_with(lambda _: reply([{"sku": "cpu"}]))
    with pytest.raises(TypeError, match=r"client\.predictions\.list, not list"):
        async for _ in getattr(scripted_client, go)(scripted_client.hardware.list):
            pass
