"""A recorded exchange, and what is removed from it before it is written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
from attrs import frozen

from dashscope._common.json import is_array, is_object

SCRUBBED: Final = "[scrubbed]"
SAFE: Final = ("GET", "HEAD")
"""The methods of requests that may be repeated more often than they were recorded."""

_KEPT_HEADERS: Final = (
    "content-disposition",
    "content-range",
    "content-type",
    "etag",
    "location",
    "retry-after",
    "x-request-id",
)
_PRIVATE: Final = re.compile(r"(^|[_-])(token|secret|password|api[_-]?key|key)$", re.IGNORECASE)
# The parameters that authorize a signed URL, in any text. The address itself is kept.
_SIGNED: Final = re.compile(
    r"([?&;](?:[\w-]*[_-])?(?:signature|sig|credential|policy|token|secret|password|api_?key|key)=)"
    r"[^&#\s\"'<>()\\]+",
    re.IGNORECASE,
)
_DATA_URI: Final = re.compile(r"data:([^,;]*)[^,]*,", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r"boundary=([^;]+)")

Scrub = Callable[[Any], Any]
"""A user's function that removes private data from the JSON of a body."""


@frozen
class Exchange:
    """A request and its response, as in the file."""

    method: str
    url: str
    sent: Any
    answer: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What a request must match to get this response."""
        return json.dumps([self.method, self.url, self.sent], sort_keys=True)

    def line(self) -> str:
        """Return the line in the file."""
        request = {"method": self.method, "url": self.url, "body": self.sent}
        return json.dumps({"request": request, "response": self.answer}, ensure_ascii=False)


class Scrubber:
    """Converts requests and responses to their form in the file.

    Attributes:
        secrets: Texts to remove wherever they occur.
    """

    def __init__(self, scrub: Scrub | None) -> None:
        self._scrub = scrub
        self.secrets: set[str] = set()

    def sent(self, request: httpx.Request) -> Any:
        """Return the body of a request: JSON, or a digest of other content."""
        content = request.content
        if not content:
            return None
        kind = request.headers.get("content-type", "")
        if kind.startswith("application/json"):
            return {"json": self._scrubbed(json.loads(content), sent=True)}
        if (found := _BOUNDARY.search(kind)) is not None:
            content = content.replace(found[1].encode(), b"")
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    def answer(self, response: httpx.Response, content: bytes) -> dict[str, Any]:
        """Return a response, with the headers that matter to a client."""
        headers = {
            name: self.text(value)
            for name, value in response.headers.items()
            if name in _KEPT_HEADERS
        }
        body = self._received(headers.get("content-type", ""), content)
        return {"status": response.status_code, "headers": headers, "body": body}

    def text(self, text: str) -> str:
        """Return a text without secrets and without the signatures of URLs."""
        for secret in self.secrets:
            text = text.replace(secret, SCRUBBED)
        return _SIGNED.sub(r"\1scrubbed", text)

    def url(self, request: httpx.Request) -> str:
        """Return the URL of a request."""
        return self.text(str(request.url))

    def _received(self, kind: str, content: bytes) -> Any:
        if not content:
            return None
        try:
            text = content.decode()
            if "json" in kind:
                return {"json": self._scrubbed(json.loads(text), sent=False)}
            if kind.startswith("text/"):
                return {"text": self.text(text)}
        except ValueError:
            pass  # the content does not match its type: keep the bytes
        return {"base64": base64.b64encode(content).decode()}

    def _scrubbed(self, value: Any, *, sent: bool) -> Any:
        value = self._without_secrets(value, sent=sent)
        return value if self._scrub is None else self._scrub(value)

    def _without_secrets(self, value: Any, *, sent: bool, name: str = "") -> Any:
        if is_object(value):
            return {
                # A response repeats the input as it was sent.
                key: self._without_secrets(item, sent=sent or key == "input", name=key)
                for key, item in value.items()
            }
        if is_array(value):
            return [self._without_secrets(item, sent=sent, name=name) for item in value]
        if not isinstance(value, str):
            return value
        if _PRIVATE.search(name):
            return SCRUBBED
        if sent and (data := _DATA_URI.match(value)) is not None:
            digest = hashlib.sha256(value.encode()).hexdigest()
            return f"data:{data[1]};sha256={digest},"
        return self.text(value)


def content_of(body: Any) -> bytes:
    """Return the bytes of a response body in the file."""
    if body is None:
        return b""
    if "json" in body:
        return json.dumps(body["json"]).encode()
    return body["text"].encode() if "text" in body else base64.b64decode(body["base64"])
