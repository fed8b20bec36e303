"""Webhooks: `verify()` takes a request's body and headers, and gives what the server tells.

The scheme is Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in base64. The local
server signs with `sign()`, as do tests of a receiver of your own.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from dashscope._api.decoding import fitted
from dashscope._common.json import decode, is_object
from dashscope._common.secrets import scrubbed
from dashscope._common.validation import check_count, shown
from dashscope._errors import WebhookVerificationError
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training
from dashscope.types.webhook_secret import WebhookSecret

__all__ = ["sign", "verify"]

LATEST: Final = 10**12 - 1
"""The last second since 1970 that `verify()` reads."""
DEFAULT_TOLERANCE: Final = 300.0
"""Seconds that the clocks of the sender and of this machine may be apart."""

Secret: TypeAlias = str | WebhookSecret
"""A secret as the API gives it, or its key: `whsec_` and base64."""
RequestHeaders: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""A request's headers, in whatever case: a mapping, or pairs as ASGI has them."""

_PREFIX: Final = "whsec_"
_NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
# A full stop in an id could move the borders between id, timestamp and body.
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
    """Check that a webhook comes from the server, lately and unchanged, and read it.

    A server may deliver the same webhook more than once: the header `webhook-id` tells.

    Args:
        body: the request's body, the bytes exactly as received (`await request.body()` in
            FastAPI, `request.body` in Django, `request.get_data()` in Flask).
        headers: the request's headers: a mapping or a list of pairs, their names in any case.
        secret: the secret, `client.webhooks.default.secret.get()` or its `key`; several while
            an old one is still in use.
        tolerance: seconds that the signature may be old, or ahead of this machine's clock.

    Returns:
        The prediction or training, as it was when the server sent it.

    Raises:
        WebhookVerificationError: for whatever is wrong with the body, the headers or the
            secret. Answer it with 401, and do not act on what the body says.

    ```python
    from dashscope import webhooks

    secret = await client.webhooks.default.secret.get()
    body = b'{"id": "p1", "status": "succeeded", "output": "hello Alice"}'
    headers = webhooks.sign(body, secret)  # a server does this

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
        for given in signatures:  # all of them: the time taken tells nothing
            matches |= hmac.compare_digest(signature, given.encode("ascii", "replace"))
    if not matches:
        raise WebhookVerificationError(
            f"The webhook {id} is not signed with this secret, or its body was changed on the way: "
            "take the bytes as received, before anything parses them."
        )
    _check_time(id, int(timestamp), tolerance)
    return _parse(id, content)


def sign(
    body: bytes, secret: Secret, *, id: str | None = None, timestamp: int | None = None
) -> dict[str, str]:
    """The headers that a server sends with a webhook: for tests of a receiver of your own.

    Args:
        body: the body that is sent.
        secret: the secret.
        id: the webhook's id, the same at each attempt; by default a new one.
        timestamp: the time of this attempt in seconds since 1970, by default now.

    Returns:
        The headers, to be sent beside `content-type: application/json`.

    Raises:
        TypeError: when the body is not bytes, or something else is of another type.
        ValueError: when the secret is not one, or the id has a full stop in it.

    ```python
    from dashscope import webhooks

    headers = webhooks.sign(b'{"id": "p1", "status": "succeeded"}', "whsec_c2VjcmV0IG9mIG1pbmU=")
    print(headers["webhook-signature"])
    ```
    """
    content = _body_of(body)
    name = f"msg_{secrets.token_hex(16)}" if id is None else id
    if not isinstance(name, str) or not _ID.fullmatch(name):
        kind = ValueError if isinstance(name, str) else TypeError
        raise kind(f"the id of a webhook is visible ASCII without a full stop, not {shown(name)}")
    if timestamp is not None:
        check_count("timestamp", timestamp, least=0, most=LATEST)
    at = str(int(time.time()) if timestamp is None else timestamp)
    values = (name, at, _signature(_key(secret), name, at, content))
    return dict(zip(_NAMES, values, strict=True))


def check_tolerance(tolerance: float) -> None:
    """Refuse what is no number of seconds."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise TypeError(f"tolerance is a number of seconds, not {shown(tolerance)}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is a number of seconds, 0 or more, not {shown(tolerance)}")


def keys_of(secret: Secret | Sequence[Secret]) -> list[bytes]:
    """The keys that one or several secrets stand for.

    Raises:
        ValueError: when one of them is no secret, or there is none.
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
        told = "a str, which has been decoded already"
    elif isinstance(body, Mapping | list):
        told = f"a {kind}, which has been parsed already"
    else:
        told = f"of the type {kind}"
    raise TypeError(
        f"body is {told}: pass the request's body as bytes, exactly as received "
        "(await request.body() in FastAPI, request.body in Django, request.get_data() in Flask)."
    )


def _several(secret: Any) -> list[Any]:
    if not isinstance(secret, list | tuple | set | frozenset):
        return [secret]
    if not secret:
        raise ValueError("No secret was given: the list of them is empty.")
    return list(cast("list[Any]", secret))


def _key(secret: Any) -> bytes:
    """The key that a secret stands for."""
    text = secret.key if isinstance(secret, WebhookSecret) else secret
    if not isinstance(text, str):
        raise ValueError(  # noqa: TRY004 (verify() raises one kind of error)
            f"secret is of the type {type(text).__name__}: pass what "
            "client.webhooks.default.secret.get() gives, or its key, a str."
        )
    encoded = text.removeprefix(_PREFIX)
    if not encoded:
        raise ValueError("The webhook secret is empty: client.webhooks.default.secret.get().")
    try:
        # Some write it without the padding.
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        pass
    raise ValueError(
        f"The webhook secret is not {_PREFIX} and base64: it was probably cut off, or copied "
        "with something around it."
    )


def _signature_of(headers: Any) -> tuple[str, str, list[str]]:
    """The id, the timestamp and the signatures that the headers name."""
    found = _found(headers)
    for name in _NAMES:
        if name not in found:
            raise WebhookVerificationError(
                f"The request has no header {name}: it is not a webhook of the server's, or its "
                "headers were not passed as they came."
            )
        if len(found[name]) > 1:
            raise WebhookVerificationError(f"The request has the header {name} more than once.")
    id, timestamp, signatures = (found[name][0] for name in _NAMES)
    if not _ID.fullmatch(id):
        raise WebhookVerificationError(f"The header webhook-id is no id: {id[:100]!r}.")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookVerificationError(
            f"The header webhook-timestamp is no time in whole seconds: {timestamp[:100]!r}."
        )
    return id, timestamp, signatures.split()


def _found(headers: Any) -> dict[str, list[str]]:
    """The values of the headers that count, by their names in lower case."""
    # Frameworks' own headers are not all mappings; their items() repeats what came repeatedly.
    pairs: Any = headers.items() if callable(getattr(headers, "items", None)) else headers
    found: dict[str, list[str]] = {}
    try:
        for name, value in pairs:
            lower = _text(name).lower()
            if lower in _NAMES:
                found.setdefault(lower, []).append(_text(value))
    except (TypeError, ValueError):
        raise WebhookVerificationError(
            f"headers is a mapping or a list of pairs of text, not a {type(headers).__name__} with "
            "something else in it: pass the request's headers."
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
            f"The webhook {id} was signed {when}, and the tolerance is {tolerance:g} s: it is sent "
            "anew by somebody, or one of the clocks is wrong."
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
    raise WebhookVerificationError(f"The body of the webhook {id} {scrubbed(reason)}.")


def _is_training(value: Any) -> bool:
    urls = value.get("urls") if is_object(value) else None
    url = urls.get("get") if is_object(urls) else None
    return isinstance(url, str) and _TRAINING_URL.search(url) is not None
