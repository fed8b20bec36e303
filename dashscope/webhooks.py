"""Webhooks: `verify()` checks the signature of a webhook and returns its prediction or training.

The scheme is Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in base64. The local server
signs with `sign()`, which is also useful in tests of your own receiver.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from dashscope._common.json import decode, is_object
from dashscope._common.validation import check_count, shown
from dashscope._errors import WebhookVerificationError
from dashscope.types._structure import fitted
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training
from dashscope.types.webhook_secret import WebhookSecret

__all__ = ["sign", "verify"]

LATEST: Final = 10**12 - 1
"""The latest timestamp that `verify()` accepts, in seconds since 1970."""
DEFAULT_TOLERANCE: Final = 300.0
"""How far the clocks of the sender and this machine may differ, in seconds."""

Secret: TypeAlias = str | WebhookSecret
"""A secret from the API, or its key: `whsec_` and base64."""
RequestHeaders: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""The headers of a request: a mapping, or pairs as in ASGI. Names ignore case."""

_PREFIX: Final = "whsec_"
_NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
# A period in an id could shift the boundaries between id, timestamp and body.
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_TRAINING_URL = re.compile(r"/trainings/[^/]+/?\Z")


def verify(
    body: bytes,
    headers: RequestHeaders,
    secret: Secret | Sequence[Secret],
    *,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Prediction | Training:
    """Check the signature of a webhook, and return its prediction or training.

    A server may deliver the same webhook more than once. The header `webhook-id` identifies
    repeats.

    Args:
        body: The body of the request, as the exact bytes received (`await request.body()` in
            FastAPI, `request.body` in Django, `request.get_data()` in Flask).
        headers: The headers of the request: a mapping or a list of pairs. Names ignore case.
        secret: The secret, from `client.webhooks.default.secret.get()`, or its `key`. Pass several
            while an old secret is still in use.
        tolerance: Seconds that the signature may be old, or ahead of this machine's clock.

    Returns:
        The prediction or training, in its state when the webhook was sent.

    Raises:
        WebhookVerificationError: If the body, the headers or the secret are wrong. Respond with
            401, and do not act on the body.

    Example:
        ```python
        from dashscope import webhooks

        secret = await client.webhooks.default.secret.get()
        body = b'{"id": "p1", "status": "succeeded", "output": "hello Alice"}'
        headers = webhooks.sign(body, secret)  # done by the server

        prediction = webhooks.verify(body, headers, secret)
        print(prediction.id, prediction.status, prediction.output)
        ```
    """
    check_tolerance(tolerance)
    content = _bytes_of(body)
    try:
        keys = keys_of(secret)
    except ValueError as error:
        raise WebhookVerificationError(str(error)) from None
    id, timestamp, signatures = _signature_of(headers)
    matches = False
    for key in keys:
        signature = _signature(key, id, timestamp, content).encode()
        for given in signatures:  # all of them, so that the time reveals nothing
            matches |= hmac.compare_digest(signature, given.encode("ascii", "replace"))
    if not matches:
        raise WebhookVerificationError(
            f"The webhook {id} was not signed with this secret, or its body was changed. "
            "Pass the bytes exactly as received, before anything parses them."
        )
    _check_time(id, int(timestamp), tolerance)
    return _parse(id, content)


def sign(
    body: bytes, secret: Secret, *, id: str | None = None, timestamp: int | None = None
) -> dict[str, str]:
    """Return the headers that a server sends with a webhook, for tests of your own receiver.

    Args:
        body: The body.
        secret: The secret.
        id: The id of the webhook, the same for each delivery attempt. Defaults to a new id.
        timestamp: The time of this attempt, in seconds since 1970. Defaults to now.

    Returns:
        The headers, to send in addition to `content-type: application/json`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the secret is malformed, or the id contains a period.

    Example:
        ```python
        from dashscope import webhooks

        body = b'{"id": "p1", "status": "succeeded"}'
        headers = webhooks.sign(body, "whsec_c2VjcmV0IG9mIG1pbmU=")
        print(headers["webhook-signature"])
        ```
    """
    content = _body_of(body)
    name = f"msg_{secrets.token_hex(16)}" if id is None else id
    if not isinstance(name, str) or not _ID.fullmatch(name):
        kind = ValueError if isinstance(name, str) else TypeError
        raise kind(f"id must be visible ASCII without a period, not {shown(name)}")
    if timestamp is not None:
        check_count("timestamp", timestamp, least=0, most=LATEST)
    at = str(int(time.time()) if timestamp is None else timestamp)
    values = (name, at, _signature(_key(secret), name, at, content))
    return dict(zip(_NAMES, values, strict=True))


def check_tolerance(tolerance: float) -> None:
    """Raise if a tolerance is not a number of seconds."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise TypeError(f"tolerance must be a number of seconds, not {shown(tolerance)}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0 seconds, not {shown(tolerance)}")


def keys_of(secret: Secret | Sequence[Secret]) -> list[bytes]:
    """Return the keys of one or several secrets.

    Raises:
        ValueError: If a secret is malformed, or there is none.
    """
    return [_key(item) for item in _several(secret)]


def _signature(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    code = hmac.new(key, f"{id}.{timestamp}.".encode(), "sha256")
    code.update(body)
    return f"v1,{base64.b64encode(code.digest()).decode()}"


def _bytes_of(body: Any) -> bytes:
    try:
        return _body_of(body)
    except TypeError as error:
        raise WebhookVerificationError(str(error)) from None


def _body_of(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(cast("bytearray", body))
    kind = type(body).__name__
    if isinstance(body, str):
        told = "a decoded str"
    elif isinstance(body, Mapping | list):
        told = f"a parsed {kind}"
    else:
        told = kind
    raise TypeError(
        f"body must be bytes, not {told}. Pass the body of the request exactly as received "
        "(await request.body() in FastAPI, request.body in Django, request.get_data() in Flask)."
    )


def _several(secret: Any) -> list[Any]:
    if not isinstance(secret, list | tuple | set | frozenset):
        return [secret]
    if not secret:
        raise ValueError("The list of webhook secrets is empty.")
    return list(cast("list[Any]", secret))


def _key(secret: Any) -> bytes:
    """Return the key of a secret."""
    text = secret.key if isinstance(secret, WebhookSecret) else secret
    if not isinstance(text, str):
        raise ValueError(  # noqa: TRY004 (verify() raises one kind of error)
            f"The webhook secret must be a WebhookSecret or a str, not {type(text).__name__}. Pass "
            "the result of client.webhooks.default.secret.get(), or its key."
        )
    encoded = text.removeprefix(_PREFIX)
    if not encoded:
        raise ValueError(
            "The webhook secret is empty. Get it with client.webhooks.default.secret.get()."
        )
    try:
        # Some secrets have no padding.
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        pass
    raise ValueError(
        f"The webhook secret must be {_PREFIX} and base64. It was probably cut off, or copied "
        "with surrounding text."
    )


def _signature_of(headers: Any) -> tuple[str, str, list[str]]:
    """Return the id, the timestamp and the signatures in the headers."""
    found = _found(headers)
    for name in _NAMES:
        if name not in found:
            raise WebhookVerificationError(
                f"The request has no header {name}. It is not a webhook, or not all of its headers "
                "were passed."
            )
        if len(found[name]) > 1:
            raise WebhookVerificationError(f"The request has several headers {name}.")
    id, timestamp, signatures = (found[name][0] for name in _NAMES)
    if not _ID.fullmatch(id):
        raise WebhookVerificationError(f"The header webhook-id is invalid: {id[:100]!r}.")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookVerificationError(
            f"The header webhook-timestamp must be whole seconds, not {timestamp[:100]!r}."
        )
    return id, timestamp, signatures.split()


def _found(headers: Any) -> dict[str, list[str]]:
    """Return the values of the relevant headers, by lower-case name."""
    # The headers of some frameworks are not mappings. Their items() lists repeated headers.
    pairs: Any = headers.items() if callable(getattr(headers, "items", None)) else headers
    found: dict[str, list[str]] = {}
    try:
        for name, value in pairs:
            lower = _text(name).lower()
            if lower in _NAMES:
                found.setdefault(lower, []).append(_text(value))
    except (TypeError, ValueError):
        raise WebhookVerificationError(
            "headers must be a mapping or a list of pairs of text, not a "
            f"{type(headers).__name__} with other items. Pass the headers of the request."
        ) from None
    return found


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError
    return value


def _check_time(id: str, timestamp: int, tolerance: float) -> None:
    age = time.time() - timestamp
    if abs(age) > tolerance:
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s ahead of this machine's clock"
        raise WebhookVerificationError(
            f"The webhook {id} was signed {when}, but the tolerance is {tolerance:g} s. It is a "
            "replay, or one of the clocks is wrong."
        )


def _parse(id: str, content: bytes) -> Prediction | Training:
    try:
        value = decode(content)
    except (ValueError, RecursionError):
        reason = "is not JSON"
    else:
        try:
            return fitted(value, Training) if _is_training(value) else fitted(value, Prediction)
        except ValueError as error:
            reason = str(error)
    raise WebhookVerificationError(f"The body of the webhook {id} {reason}.")


def _is_training(value: Any) -> bool:
    urls = value.get("urls") if is_object(value) else None
    url = urls.get("get") if is_object(urls) else None
    return isinstance(url, str) and _TRAINING_URL.search(url) is not None
