"""Any text argument is rejected before a request or arrives unchanged.

The server uses the request parser of the standard library on a real socket.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dashscope import Client, ConfigurationError, File, Prediction
from dashscope._config import __version__
from tests.files.test_files import content, parts
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

EVIL = [
    "",
    " ",
    " a",
    "a ",
    "\t",
    "..",
    ".",
    "../../account",
    "..%2f..",
    "%2e%2e",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a;b",
    "a&cursor=b",
    "a%00b",
    "a\x00b",
    "a\r\nX-Evil: 1\r\n\r\n",
    "a\nX-Evil: 1",
    "a\rb",
    "ü",
    "\u2028",
    "\U0001f600",
    "\ud800",
    "http://evil.example/",
    "//evil.example/",
    "https://evil.example/?cursor=x",
    "@evil.example",
    '"',
    '"; filename="x',
    "{}",
    "{owner}",
    "0\r\n\r\n",
    "::",
    "[::1]",
]

texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(EVIL)
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
Test = TypeVar("Test", bound=Callable[..., None])


def with_evil(*names: str, places: Iterable[str] = ()) -> Callable[[Test], Test]:
    """Always try the evil texts as these arguments, each at one of the places in turn."""

    def decorate(test: Test) -> Test:
        turn = itertools.cycle(places)
        for text in EVIL:
            place = {"place": next(turn)} if places else {}
            test = example(**dict.fromkeys(names, text), **place)(test)
        return test

    return decorate


def with_each(places: Iterable[str], *texts: str) -> Callable[[Test], Test]:
    """Always try these texts at each of the places."""

    def decorate(test: Test) -> Test:
        for place, text in itertools.product(places, texts):
            test = example(place=place, text=text)(test)
        return test

    return decorate


@pytest.fixture(scope="module")
def recorder() -> Iterator[FakeServer]:
    fake_server = FakeServer()

    def script(received: Received) -> Reply:
        id = unquote(received.path.partition("?")[0].removesuffix("/cancel").rpartition("/")[2])
        names = {"owner": "a", "name": "b", "slug": "s"}
        return reply({**prediction("succeeded", id=id), **names, "results": []})

    fake_server.respond_with(script)
    yield fake_server
    fake_server.close()


@pytest.fixture(scope="module")
def client(recorder: FakeServer) -> Iterator[Client]:
    with Client("r8_token", base_url=recorder.base_url, max_retries=0) as client:
        yield client


def sent(fake_server: FakeServer, call: Callable[[], object]) -> Received | None:
    """Return the request that arrived, or `None` if the argument was rejected."""
    fake_server.requests.clear()
    try:
        call()
    except (ValueError, TypeError):
        assert fake_server.requests == []
        return None
    (received,) = fake_server.requests
    assert "X-Evil" not in received.headers
    return received


IDS: dict[str, tuple[Callable[[Client, str], object], str]] = {
    "prediction": (lambda c, x: c.predictions.get(x), "/v1/predictions/*"),
    "a prediction's own": (
        lambda c, x: c.predictions.cancel(Prediction(id=x, status="starting")),
        "/v1/predictions/*/cancel",
    ),
    "training": (lambda c, x: c.trainings.cancel(x), "/v1/trainings/*/cancel"),
    "file": (lambda c, x: c.files.get(x), "/v1/files/*"),
    "a file's own": (lambda c, x: c.files.delete(File(id=x)), "/v1/files/*"),
    "collection": (lambda c, x: c.collections.get(x), "/v1/collections/*"),
    "owner": (lambda c, x: c.models.get(x, "name"), "/v1/models/*/name"),
    "name": (lambda c, x: c.models.delete("owner", x), "/v1/models/owner/*"),
    "deployment": (lambda c, x: c.deployments.get("owner", x), "/v1/deployments/owner/*"),
    "version": (
        lambda c, x: c.models.versions.get("owner", "name", x),
        "/v1/models/owner/name/versions/*",
    ),
    "a model of predictions": (
        lambda c, x: c.models.predictions.create(x, "name", input={}),
        "/v1/models/*/name/predictions",
    ),
}


OWNERS = (IDS["owner"][1], IDS["a model of predictions"][1])


@given(place=st.sampled_from(list(IDS)), text=texts)
@with_each(IDS, "..", "a/b", "a?b=c", "a%2fb")
@with_evil("text", places=IDS)
@fuzzed
def test_no_injection_in_a_path(
    recorder: FakeServer, client: Client, place: str, text: str
) -> None:
    call, path = IDS[place]
    received = sent(recorder, lambda: call(client, text))
    if received is not None:
        before, after = path.split("*")
        assert received.path.startswith(before)
        assert received.path.endswith(after)
        segment = received.path[len(before) : len(received.path) - len(after)]
        assert not set(segment) & set("/?#;\\ ")
        assert segment not in ("", ".", "..")
        assert unquote(segment, errors="strict") == text
    else:
        assert (
            text in ("", ".", "..")
            or any("\ud800" <= c <= "\udfff" for c in text)
            # An owner with a slash is an owner and a name.
            or ("/" in text and path in OWNERS)
        )


@given(text=texts)
@fuzzed
def test_no_injection_in_a_reference(recorder: FakeServer, client: Client, text: str) -> None:
    for ref in (text, f"{text}/name", f"owner/{text}", f"owner/name:{text}"):
        received = sent(recorder, lambda ref=ref: client.run(ref, {}))  # type: ignore[misc]
        if received is None:
            continue
        model, _, version = ref.partition(":")
        if version:
            assert received.path == "/v1/predictions"
            assert received.json["version"] == version
        else:
            owner, name = received.path.removeprefix("/v1/models/").split("/")[:2]
            assert f"{unquote(owner)}/{unquote(name)}" == model


LISTS: dict[str, Callable[[Client, str], object]] = {
    "predictions": lambda c, x: c.predictions.list(cursor=x),
    "models": lambda c, x: c.models.list(cursor=x),
    "versions": lambda c, x: c.models.versions.list("owner", "name", cursor=x),
}


@given(place=st.sampled_from(list(LISTS)), text=texts)
@with_each(
    LISTS,
    "a?b=c",
    "https://elsewhere.example/v9?cursor=x&y=z",
    "/v1/predictions?cursor=x",
    "https://elsewhere.example/v9",
)
@with_evil("text", places=LISTS)
@fuzzed
def test_no_injection_in_a_cursor(
    recorder: FakeServer, client: Client, place: str, text: str
) -> None:
    received = sent(recorder, lambda: LISTS[place](client, text))
    if received is None:
        return
    assert received.path.startswith("/v1/")
    query = parse_qsl(received.path.partition("?")[2], keep_blank_values=True)
    # A page URL is replaced by its query.
    if query != [("cursor", text)]:
        assert text.startswith(("http://", "https://", "/", "?"))
        assert query == parse_qsl(text.partition("?")[2].partition("#")[0], keep_blank_values=True)
        assert query


@given(key=texts, value=texts)
@with_evil("key", "value")
@fuzzed
def test_no_injection_in_a_query(
    recorder: FakeServer, client: Client, key: str, value: str
) -> None:
    received = sent(recorder, lambda: client.request("GET", "/x", params={key: value}))
    if received is not None:
        query = parse_qsl(received.path.partition("?")[2], keep_blank_values=True)
        assert query == [(key, value)]
    received = sent(recorder, lambda: client.search(value))
    if received is not None:
        assert parse_qsl(received.path.partition("?")[2]) == [("query", value)]


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(value=texts | printable)
@with_evil("value")
@fuzzed
def test_no_injection_in_a_header(recorder: FakeServer, client: Client, value: str) -> None:
    def by_client() -> object:
        with Client(
            "r8_token", base_url=recorder.base_url, max_retries=0, headers={"X-Any": value}
        ) as other:
            return other.request("GET", "/x")

    for call in (
        lambda: client.request("GET", "/x", headers={"X-Any": value}),
        lambda: client.with_options(headers={"X-Any": value}).request("GET", "/x"),
        by_client,
    ):
        received = sent(recorder, call)
        if received is not None:
            assert received.headers["X-Any"] == value


@given(name=texts | st.sampled_from(["Host", "host", "Content-Length", "TRANSFER-ENCODING"]))
@example("Content-Length")
@example("transfer-encoding")
@example("Authorization")
@example("authorization")
@fuzzed
def test_no_injection_in_a_header_name(recorder: FakeServer, client: Client, name: str) -> None:
    for value in ("5", "chunked", "identity"):
        received = sent(
            recorder,
            lambda value=value: client.request("POST", "/x", json={}, headers={name: value}),  # type: ignore[misc]
        )
        if received is not None:
            assert received.body == b"{}"
            own = name.lower() == "authorization"
            given = {k: v for k, v in received.headers.items() if k.lower() == "authorization"}
            assert list(given.values()) == [value if own else "Bearer r8_token"]
            assert {k.lower(): v for k, v in received.headers.items()}[name.lower()] == value


@given(text=texts | printable)
@fuzzed
def test_no_injection_in_the_user_agent(recorder: FakeServer, text: str) -> None:
    def call() -> object:
        with Client("r8_token", base_url=recorder.base_url, user_agent=text) as client:
            return client.request("GET", "/x")

    received = sent(recorder, call)
    if received is not None:
        assert received.headers["User-Agent"] == f"{text} dashscope-client/{__version__}"


@given(text=texts | printable)
@fuzzed
def test_no_injection_in_the_token(recorder: FakeServer, text: str) -> None:
    recorder.requests.clear()
    try:
        with Client(text, base_url=recorder.base_url) as client:
            client.request("GET", "/x")
    except ConfigurationError:
        assert recorder.requests == []
    else:
        (received,) = recorder.requests
        assert received.headers["Authorization"] == f"Bearer {text}"


@given(key=texts, value=texts)
@fuzzed
def test_no_injection_in_metadata(
    recorder: FakeServer, client: Client, key: str, value: str
) -> None:
    received = sent(recorder, lambda: client.files.create(b"x", metadata={key: value}))
    if received is not None:
        found = parts(received)
        assert set(found) == {"content", "filename", "type", "metadata"}
        assert json.loads(content(found["metadata"])) == {key: value}


@given(name=texts, kind=texts | printable)
@with_evil("name", "kind")
@example("a", "text/plain\r\nX-Evil: 1\r\n\r\nother content")
@example("a", "text/plain; charset=utf-8")
@fuzzed
def test_no_injection_in_a_file(recorder: FakeServer, client: Client, name: str, kind: str) -> None:
    received = sent(recorder, lambda: client.files.create(b"x", filename=name, content_type=kind))
    if received is not None:
        found = parts(received)
        assert set(found) == {"content", "filename", "type"}
        assert content(found["content"]) == b"x"
        assert content(found["filename"]).decode() == name
        assert content(found["type"]).decode() == kind
        assert found["content"]["Content-Type"] == kind


@given(text=texts)
@fuzzed
def test_no_injection_in_a_body(recorder: FakeServer, client: Client, text: str) -> None:
    received = sent(
        recorder,
        lambda: client.predictions.create(
            version="v", input={text: [text]}, webhook=f"https://{text}"
        ),
    )
    if received is not None:
        assert received.json["input"] == {text: [text]}
        assert received.json["webhook"] == f"https://{text}"
    received = sent(
        recorder,
        lambda: client.trainings.create("a", "b", "c", destination=f"{text}/x", input={}),
    )
    if received is not None:
        assert received.json["destination"] == f"{text}/x"
    received = sent(recorder, lambda: client.models.search(text))
    if received is not None:
        assert received.body.decode() == text
