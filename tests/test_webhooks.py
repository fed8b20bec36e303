"""A webhook is recent and unchanged, or raises a `WebhookVerificationError`."""

from __future__ import annotations

import base64
import json
import math
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

import dashscope
from dashscope import (
    Client,
    DashscopeError,
    Prediction,
    Training,
    WebhookSecret,
    WebhookVerificationError,
)
from dashscope.local import LocalServer, model
from dashscope.webhooks import sign, verify
from tests.variants import variants

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(b"another key, of some bytes").decode()
BODY = b'{"id": "p1", "status": "succeeded", "output": "\xc3\xa4", "tomorrow": 1}'
UNTOUCHED: Any = object()
NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


def signed(body: bytes = BODY, secret: str = SECRET, **changes: str | None) -> dict[str, str]:
    """Return valid headers with these changes."""
    headers = sign(body, secret)
    for name, value in changes.items():
        name = "webhook-" + name
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    return headers


def refused(
    message: str, body: Any = BODY, headers: Any = UNTOUCHED, secret: Any = SECRET, **options: Any
) -> None:
    with pytest.raises(WebhookVerificationError, match=message) as caught:
        verify(body, signed() if headers is UNTOUCHED else headers, secret, **options)
    for hidden in (SECRET[6:], OTHER[6:], base64.b64encode(KEY).decode()):
        assert hidden not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# Reading


def test_verify_returns_the_prediction() -> None:
    prediction = verify(BODY, signed(), SECRET)
    assert prediction == Prediction(id="p1", status="succeeded", output="ä")
    assert prediction.raw["tomorrow"] == 1


@variants(
    ("urls", "kind"),
    [
        ({"get": "https://api.example.com/v1/trainings/t1"}, Training),
        ({"get": "http://127.0.0.1:3274/v1/trainings/t1/"}, Training),
        ({"get": "https://api.example.com/v1/predictions/t1"}, Prediction),
        ({"get": "https://trainings/v1/predictions/t1"}, Prediction),
        ({"get": "https://[/v1/x"}, Prediction),
        ({}, Prediction),
        (None, Prediction),
    ],
)
def test_a_training_is_recognized_by_its_url(urls: Any, kind: type) -> None:
    body = json.dumps({"id": "t1", "status": "starting", "urls": urls}).encode()
    assert type(verify(body, signed(body), SECRET)) is kind


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_the_body_may_be_any_bytes_type(wrap: Callable[[bytes], Any]) -> None:
    assert verify(wrap(BODY), signed(), SECRET).id == "p1"


@variants(
    "written",
    [
        lambda headers: headers,
        lambda headers: {name.upper(): value for name, value in headers.items()},
        lambda headers: {name.title(): value for name, value in headers.items()},
        lambda headers: list(headers.items()),
        lambda headers: iter(headers.items()),
        lambda headers: [(k.encode(), v.encode()) for k, v in headers.items()],
        lambda headers: {**headers, "cookie": "a", "Accept": "*/*"},
        lambda headers: [("set-cookie", "1"), ("set-cookie", "2"), *headers.items()],
        lambda headers: dashscope.Headers(headers),
    ],
)
def test_header_names_ignore_case_in_any_mapping_or_list(
    written: Callable[[dict[str, str]], Any],
) -> None:
    assert verify(BODY, written(signed()), SECRET).id == "p1"


# The signature scheme, compared with the reference


@given(st.binary(min_size=1, max_size=64), st.text(max_size=50), st.integers(-299, 299))
def test_signatures_match_the_reference_implementation(
    key: bytes, output: str, offset: int
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    text = json.dumps({"id": "p1", "status": "succeeded", "output": output}, ensure_ascii=False)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    at = int(time.time()) + offset
    ours = sign(body, secret, id="msg_1", timestamp=at)
    theirs = standardwebhooks.Webhook(secret)
    assert theirs.verify(body, ours) == json.loads(body)
    when = datetime.fromtimestamp(at, UTC)
    assert ours["webhook-signature"] == theirs.sign("msg_1", when, body.decode())
    assert verify(body, ours, secret).output == output


def two_signatures() -> tuple[dict[str, str], str, str]:
    """Return headers, their signature, and the signature with the other secret."""
    now = int(time.time())
    right, wrong = (sign(BODY, secret, id="msg_1", timestamp=now) for secret in (SECRET, OTHER))
    return right, right["webhook-signature"], wrong["webhook-signature"]


def test_several_signatures_are_tried_and_other_versions_ignored() -> None:
    headers, right, wrong = two_signatures()
    for line in (
        f"{wrong} {right}",
        f"{right} {wrong}",
        f"v1a,{'A' * 88} v2,x {right}",
        f"v1,not*base64 v1, v1 , {right} \u00e4",
        f"  {right}  ",
        " ".join([*([wrong] * 500), right]),
    ):
        headers["webhook-signature"] = line
        assert verify(BODY, headers, SECRET).id == "p1"
    for line in (wrong, right[3:], right[:-1], right[:-4], "V" + right[1:], right.upper(), "v1,"):
        refused("not signed with this secret", headers={**headers, "webhook-signature": line})


def test_secrets_can_be_rotated() -> None:
    for secrets in ([OTHER, SECRET], (SECRET, OTHER), [WebhookSecret(key=SECRET), OTHER]):
        assert verify(BODY, signed(), secrets).id == "p1"
        assert verify(BODY, signed(secret=OTHER), secrets).id == "p1"
    refused("not signed with this secret", secret=[OTHER])
    refused("must be whsec_ and base64", secret=[SECRET, "whsec_*"])


@pytest.mark.parametrize("secret", [SECRET[6:], SECRET.rstrip("="), WebhookSecret(key=SECRET)])
def test_a_secret_may_be_an_object_or_text(secret: Any) -> None:
    assert verify(BODY, signed(), secret).id == "p1"


def test_every_byte_is_signed() -> None:
    for at in range(len(BODY)):
        changed = bytearray(BODY)
        changed[at] ^= 1
        refused("body was changed", body=bytes(changed))
    refused("body was changed", body=json.dumps(json.loads(BODY)).encode())
    refused("body was changed", body=BODY + b"\n")
    refused("body was changed", headers=signed(id="msg_2"))
    refused("body was changed", headers=signed(timestamp=str(int(time.time()) + 1000)))


def test_id_timestamp_and_body_are_separated() -> None:
    """An attacker who controls the body cannot shift the borders."""
    now = str(int(time.time()))
    inner = '{"id": "p2", "status": "succeeded"}'
    outer = f'{{"id": "p1", "status": "x"}} .{now}.{inner}'.encode()
    headers = sign(outer, SECRET, id="msg_1", timestamp=int(now))
    moved = outer.decode().removesuffix(f".{now}.{inner}").replace(" ", "")
    refused(
        "webhook-id is invalid",
        body=inner.encode(),
        headers={**headers, "webhook-id": f"msg_1.{now}.{moved}"},
    )


def test_verification_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(
        "dashscope.webhooks.hmac.compare_digest",
        lambda left, right: bool(compared.append((left, right))) or left == right,
    )
    headers, right, wrong = two_signatures()
    verify(BODY, {**headers, "webhook-signature": f"{right} {wrong}"}, [SECRET, OTHER])
    assert len(compared) == 4


# The timestamp


@pytest.mark.parametrize("way", [1, -1])
def test_the_tolerance_applies_in_both_directions(way: int) -> None:
    now = int(time.time())
    for offset in (0, 10, 290):
        assert verify(BODY, sign(BODY, SECRET, timestamp=now + way * offset), SECRET).id == "p1"
    late = sign(BODY, SECRET, timestamp=now + way * 310)
    refused("s ahead of this machine's clock, but the tolerance is 300 s" if way > 0 else "s ago",
            headers=late)  # fmt: skip
    assert verify(BODY, late, SECRET, tolerance=400).id == "p1"
    assert verify(BODY, late, SECRET, tolerance=math.inf).id == "p1"
    refused("tolerance is 0 s", headers=late, tolerance=0)
    refused("tolerance is 0.5 s", headers=late, tolerance=0.5)


@variants(
    "timestamp",
    ["", " ", "now", "-1", "1.5", "1e9", "0x1", "1_0", "٣", "9" * 400, "1\n", "nan", "inf", "+1"],
)
def test_an_invalid_timestamp_is_rejected(timestamp: str) -> None:
    refused("must be whole seconds", headers=signed(timestamp=timestamp))


@pytest.mark.parametrize("tolerance", [-1, math.nan])
def test_a_tolerance_may_be_an_int_or_a_float(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance must be at least 0 seconds"):
        verify(BODY, signed(), SECRET, tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [None, "300", True])
def test_a_tolerance_must_be_a_number(tolerance: Any) -> None:
    with pytest.raises(TypeError, match="tolerance must be a number of seconds"):
        verify(BODY, signed(), SECRET, tolerance=tolerance)


# Invalid webhooks


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_repeated_header_is_rejected(name: str) -> None:
    refused(f"no header webhook-{name}", headers=signed(**{name: None}))
    again = [(f"Webhook-{name.title()}", signed()[f"webhook-{name}"])]
    refused(f"several headers webhook-{name}", headers=[*signed().items(), *again])
    both = {**signed(), **dict(again)}
    refused(f"several headers webhook-{name}", headers=both)
    joined = signed()
    joined[f"webhook-{name}"] = ",".join([joined[f"webhook-{name}"]] * 2)
    refused("is invalid|whole seconds|not signed|body was changed", headers=joined)


@variants("id", ["", " ", "a b", "msg_1.2", "ä", "a\n", "\ud800", "a\0"])
def test_an_id_must_be_visible_ascii_without_a_period(id: str) -> None:
    refused("webhook-id is invalid", headers=signed(id=id))
    with pytest.raises(ValueError, match="visible ASCII without a period"):
        sign(BODY, SECRET, id=id)


@variants(
    "headers",
    [{}, [], (), None, 5, "webhook-id", b"webhook-id", [1], [("a",)], [("a", "b", "c")],
     {"webhook-id": None}, {"webhook-id": 5}, {"webhook-id": ["a"]}, {5: "a"}, [None],
     [("a", 1, 2)], {None: None}, object()],
)  # fmt: skip
def test_invalid_header_collections_are_rejected(headers: Any) -> None:
    refused("no header webhook-id|headers must be a mapping or a list of pairs", headers=headers)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BODY.decode(), "a decoded str.*request.get_data"),
        (json.loads(BODY), "a parsed dict.*await request.body"),
        ([1], "a parsed list"),
        (None, "not NoneType"),
        (Prediction(id="p1", status="x"), "not a parsed Prediction"),
    ],
)
def test_a_decoded_body_is_an_error(body: Any, message: str) -> None:
    refused(message, body=body)


@variants(
    ("secret", "message"),
    [
        ("", "secret is empty"),
        ("whsec_", "secret is empty"),
        ([], "list of webhook secrets is empty"),
        ((), "list of webhook secrets is empty"),
        ([""], "secret is empty"),
        (None, "not NoneType"),
        (KEY, "not bytes"),
        ([None], "not NoneType"),
        ({"key": SECRET}, "not dict"),
        ("whsec_\u00e4", "must be whsec_ and base64"),
        ("whsec_*", "must be whsec_ and base64"),
        ("whsec_A", "must be whsec_ and base64"),
        ("whsec_=", "must be whsec_ and base64"),
        (SECRET + "\n", "must be whsec_ and base64"),
        (" " + SECRET, "must be whsec_ and base64"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 30).decode(), "must be whsec_ and base64"),
        ("whsk_AAAA", "must be whsec_ and base64"),
        ("\ud800", "must be whsec_ and base64"),
    ],
)
def test_an_invalid_secret_is_an_error(secret: Any, message: str) -> None:
    refused(message, secret=secret)


@variants(
    ("body", "message"),
    [
        (b"", "is not JSON"),
        (b"hello", "is not JSON"),
        (b'{"id": "p1"', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 1_000_000, "is not JSON"),
        (b'{"id": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b'{"id": "p1", "status": "x", "output": NaN}', "is not JSON"),
        (b"null", "is not a Prediction"),
        (b"[]", "is not a Prediction"),
        (b'"p1"', "is not a Prediction"),
        (b"{}", "is not a Prediction: .*id"),
        (b'{"id": 1, "status": "x"}', "is not a Prediction: .*id"),
        (b'{"id": null, "status": "x"}', "is not a Prediction"),
        (b'{"id": "t", "urls": {"get": "/v1/trainings/t"}}', "is not a Training: .*status"),
        (b'{"id": "t", "status": "x", "urls": 5}', "is not a Prediction: .*urls"),
    ],
)
def test_a_signed_body_that_is_no_prediction_is_rejected(body: bytes, message: str) -> None:
    refused(message, body=body, headers=signed(body))


def test_an_error_truncates_a_huge_body() -> None:
    body = json.dumps({"id": ["x" * 100_000], "status": "x"}).encode()
    with pytest.raises(WebhookVerificationError, match="not a Prediction") as caught:
        verify(body, signed(body), SECRET)
    assert len(str(caught.value)) < 2000


def test_a_huge_body_is_read() -> None:
    body = json.dumps({"id": "p1", "status": "x", "output": "y" * 10_000_000}).encode()
    assert len(verify(body, signed(body), SECRET).output) == 10_000_000  # type: ignore[arg-type]


# Any input raises the same error


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HEADER_NAME = st.sampled_from([*NAMES, *(name.upper() for name in NAMES)]) | st.text()
HEADERS = (
    ANY
    | st.dictionaries(HEADER_NAME, ANY)
    | st.lists(st.tuples(HEADER_NAME | st.binary(), ANY))
    | st.fixed_dictionaries(dict.fromkeys(NAMES, st.text()))
)


@given(ANY, HEADERS, ANY | st.text().map("whsec_".__add__))
def test_any_invalid_webhook_raises_one_error(body: Any, headers: Any, secret: Any) -> None:
    with pytest.raises(WebhookVerificationError):
        verify(body, headers, secret)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("id", "status", "output", "urls", "metrics", "created_at", "logs")


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON | st.text()))
def test_any_signed_json_is_a_prediction_or_that_error(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        prediction = verify(body, signed(body), SECRET)
    except WebhookVerificationError:
        return
    assert prediction.id == value["id"]
    assert prediction.status == value["status"]


@given(st.binary(), st.binary(max_size=80), st.sampled_from(NAMES), st.text(max_size=80))
def test_any_change_is_rejected(body: bytes, tail: bytes, name: str, value: str) -> None:
    headers = signed(BODY)
    if (body + tail) != BODY:
        with pytest.raises(WebhookVerificationError):
            verify(body + tail, headers, SECRET)
    if headers[name] != value.strip():
        with pytest.raises(WebhookVerificationError):
            verify(BODY, {**headers, name: value}, SECRET)


# Signing


def test_sign_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match="secret is empty") as caught:
        sign(BODY, "")
    assert not isinstance(caught.value, DashscopeError)
    first, second = sign(BODY, SECRET), sign(BODY, SECRET)
    assert first["webhook-id"] != second["webhook-id"]


# Real servers


@model("test/say")
def say(text: str) -> str:
    return text


class Receiver:
    """A plain server of the standard library that receives webhooks."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, Any]] = queue.Queue()
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.put((body, self.headers))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_webhooks_of_a_server_are_verified(receiver: Receiver) -> None:
    with LocalServer(models=[say]) as server, Client(base_url=server.base_url) as client:
        secret = client.webhooks.default.secret.get()
        client.run("test/say", {"text": "ä"}, webhook=receiver.url,
                   webhook_events_filter=["completed"])  # fmt: skip
        body, headers = receiver.received.get(timeout=30)
        prediction = verify(body, headers, secret)
        assert isinstance(prediction, Prediction)
        assert prediction == client.predictions.get(prediction)
        assert prediction.output == "ä"
        assert standardwebhooks.Webhook(secret.key).verify(body, dict(headers)) == prediction.raw
        refused("not signed with this secret", body=body, headers=headers)
        refused("not signed with this secret", body=body, headers=headers, secret=OTHER)

        version = client.models.get("dashscope", "markov").latest_version
        assert version is not None
        client.models.create("local", "mine", visibility="private", hardware="cpu")
        training = client.trainings.create(
            "dashscope", "markov", version.id, destination="local/mine",
            input={"text": b"the cat sat on the mat. " * 20}, webhook=receiver.url,
            webhook_events_filter=["completed"],
        )  # fmt: skip
        messages = verify(*receiver.received.get(timeout=30), secret)
        assert isinstance(messages, Training)
        assert messages == client.trainings.get(training)


@variants(
    ("arguments", "error", "message"),
    [
        ({"body": "text"}, TypeError, "body must be bytes, not a decoded str"),
        ({"body": None}, TypeError, "body must be bytes, not NoneType"),
        ({"id": 5}, TypeError, "id must be visible ASCII"),
        ({"id": ""}, ValueError, "id must be visible ASCII"),
        ({"id": "x" * 257}, ValueError, "id must be visible ASCII"),
        ({"timestamp": "now"}, TypeError, "timestamp must be an integer"),
        ({"timestamp": 1.5}, TypeError, "timestamp must be an integer"),
        ({"timestamp": -1}, ValueError, "timestamp must be from 0"),
    ],
)
def test_sign_rejects_what_verify_would_reject(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        sign(**{"body": b"{}", "secret": "whsec_c2VjcmV0IG9mIG1pbmU=", **arguments})
