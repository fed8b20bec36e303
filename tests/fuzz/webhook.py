"""Any webhook is verified or raises a `WebhookVerificationError`.

The first byte selects whether the body is signed, and which header the first line replaces.
"""

from __future__ import annotations

from dashscope import Prediction, Training, WebhookVerificationError
from dashscope.webhooks import sign, verify

SECRET = "whsec_c2VjcmV0IG9mIG1pbmU="
NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
SEEDS = (
    b'\x00\n{"id": "p", "status": "succeeded", "output": null}',
    b'\x00\n{"id": "t", "status": "x", "urls": {"get": "/v1/trainings/t"}}',
    b'\x01msg_1\n{"id": "p", "status": "x"}',
    b'\x021700000000\n{"id": "p", "status": "x"}',
    b'\x03v1,AAAA v1a,x v2\n{"id": "p", "status": "x"}',
    b"\x04whsec_\n{}",
    b"\x04whsec_c2VjcmV0IG9mIG1pbmU\n{}",
    b"\x05webhook-id: a\n[]",
    b"\x00\n" + b"[" * 2000,
)


def one_input(data: bytes) -> None:
    choice = (data[0] if data else 0) % 6
    line, _, body = data[1:].partition(b"\n")
    message = line.decode("utf-8", "replace")
    headers: list[tuple[str, str]] = list(sign(body, SECRET).items())
    secret = SECRET
    if 1 <= choice <= 3:
        headers[choice - 1] = (NAMES[choice - 1], message)
    elif choice == 4:
        secret = message
    elif choice == 5:
        name, _, value = message.partition(":")
        headers.append((name, value.strip()))
    try:
        read = verify(body, headers, secret)
    except WebhookVerificationError as error:
        assert SECRET[6:] not in str(error)
        assert len(str(error)) < 3000
        return
    assert isinstance(read, Prediction | Training)
    if choice in (1, 2, 3):
        assert headers[choice - 1][1].strip() in (
            sign(body, SECRET, **_same(headers))[NAMES[choice - 1]],
            message,
        )
    if choice == 4:
        assert secret.removeprefix("whsec_").rstrip("=") == SECRET[6:].rstrip("=")


def _same(headers: list[tuple[str, str]]) -> dict[str, object]:
    found = dict(headers)
    return {"id": found["webhook-id"], "timestamp": int(found["webhook-timestamp"])}
