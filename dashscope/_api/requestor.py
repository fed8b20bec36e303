"""`Requestor`: one API request with its retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from http import HTTPStatus
from logging import DEBUG
from typing import Any, Final

from attrs import evolve, frozen

from dashscope._api import instrumentation, retry
from dashscope._api.retry import AttemptResult, attempt_result, may_have_executed
from dashscope._api.state import ClientState
from dashscope._common import random, urls
from dashscope._common.deadline import Deadline
from dashscope._common.json import encode, is_array, is_object, object_in
from dashscope._common.logging import logger
from dashscope._common.secrets import Token, scrub
from dashscope._common.validation import check_flag
from dashscope._config import Config, check_headers
from dashscope._errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    shortened,
    status_error_type,
)
from dashscope._runtime.runtime import Runtime
from dashscope._transport.mapping import named
from dashscope._transport.transport import Transport
from dashscope.types.http import (
    SILENCE_TIMEOUT,
    FilePart,
    Headers,
    Request,
    Response,
    merged,
    remember_token,
)

REPEATABLE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "QUERY", "DELETE"})
PUBLIC_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "cancel-after",
        "content-type",
        "if-range",
        "last-event-id",
        "prefer",
        "range",
        "user-agent",
    }
)
"""The headers of our requests that contain no secrets."""
ANSWER_MARGIN: Final = 10.0
"""Seconds that a response may take beyond `Prefer: wait=n`."""

_answered: Final[set[urls.Origin | None]] = set()
"""The origins on this machine that responded, as far as this process knows."""

_NO_BODY: Final[Any] = object()

_MESSAGES: Final = ("msg", "message", "detail", "error")
"""The names of the message of an entry in an error's `detail`, the most specific one first."""
_ADVICE: Final[Mapping[int, str]] = {
    401: "Check the token: api_token=... or DASHSCOPE_API_TOKEN.",
    403: "The token's account does not have permission.",
    404: "Check the name or id, and that this account can access it.",
    429: "Lower the concurrency, or retry later.",
}


@frozen(kw_only=True)
class Call:
    """A request of an operation, and how it may be repeated.

    Attributes:
        method: The HTTP method.
        path: The path below the base URL, or a whole URL.
        params: The query parameters. Those that are `None` are omitted.
        json: The body, as a JSON value.
        content: The body, as bytes.
        headers: Headers of this request.
        files: The parts of a multipart body.
        fields: The text fields of a multipart body.
        repeatable: Whether repeating the request is harmless. Defaults to what the method implies.
        creates: Whether the request creates something.
        on_response: Called with the response before any hook, which may raise.
        server_wait: Seconds that the server may wait before it responds.
    """

    method: str
    path: str
    params: Iterable[tuple[str, Any]] = ()
    json: Any = _NO_BODY
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    files: tuple[FilePart, ...] = ()
    fields: Mapping[str, str] | None = None
    repeatable: bool | None = None
    creates: bool = False
    on_response: Callable[[Response], None] | None = None
    server_wait: float = 0.0


class Requestor:
    """Sends requests with a client's configuration and transport.

    Attributes:
        config: The configuration.
        runtime: How to wait.
        transport: How to send.
        state: What the client shares with its views.
    """

    def __init__(self, config: Config, runtime: Runtime, transport: Transport) -> None:
        for name, hooks in config.event_hooks.items():
            for hook in hooks:
                runtime.check_callback(f"event_hooks[{name!r}]", hook)
        self.config = config
        self.runtime = runtime
        self.transport = transport
        self.state = ClientState(config.max_connections)
        is_local = urls.is_loopback(config.base_url) and config.proxy is None
        self._local_origin = urls.origin(config.base_url) if is_local else None
        self._responses: list[Response] | None = None

    def with_config(self, **changes: Any) -> Requestor:
        """Return a requestor with the same connections and state, but another configuration."""
        other = copy(self)
        other.config = evolve(self.config, **changes)
        return other

    def recording(self, responses: list[Response]) -> Requestor:
        """Return a requestor with the same connections that adds each response to a list."""
        other = copy(self)
        other._responses = responses
        return other

    def _record(self, response: Response) -> Response:
        if self._responses is not None:
            self._responses.append(response)
        return response

    def resolve_use_file_output(self, use_file_output: bool | None) -> bool:
        """Return the per-call setting, falling back to the client's."""
        if use_file_output is None:
            return self.config.use_file_output
        return check_flag("use_file_output", use_file_output)

    async def send(
        self,
        call: Call,
        *,
        deadline: Deadline = Deadline.NEVER,
        is_poll: bool = False,
        retries: bool = True,
    ) -> Response:
        """Send a request, with retries.

        Args:
            call: The request.
            deadline: When to give up. The client's `timeout` applies as well.
            is_poll: Whether the request polls a running prediction, and so sets the client's pace.
            retries: Whether to retry. A wait for a prediction repeats its polls itself.

        Raises:
            APIStatusError: If the server responds with an error.
            APIConnectionError: If no response arrives.
        """
        timeout = self.config.timeout
        deadline = deadline.sooner(
            Deadline.after(None if timeout is None else timeout + call.server_wait)
        )
        request = self._request(call)
        repeatable = (
            call.method in REPEATABLE_METHODS if call.repeatable is None else call.repeatable
        )
        started = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            try:
                error, result, response = await self._attempt(request, call, deadline)
            except APIResponseError as failure:
                elapsed = time.monotonic() - started
                failure.after(
                    attempts=attempts, elapsed=elapsed, may_have_been_created=call.creates
                )
                raise
            elapsed = time.monotonic() - started
            if is_poll and result.status == HTTPStatus.TOO_MANY_REQUESTS:
                self.state.pace.throttled(result.retry_after)
            if error is None and response is not None:
                self.state.quota.give_back(retried=attempts > 1)
                response = evolve(response, attempts=attempts, elapsed=elapsed)
                return self._record(remember_token(response, self.config.token))
            if call.method == "DELETE" and attempts > 1 and result.status == HTTPStatus.NOT_FOUND:
                # An earlier attempt deleted it, and its response was lost.
                deleted = Response(
                    status=204,
                    headers=Headers({}),
                    content=b"",
                    attempts=attempts,
                    elapsed=elapsed,
                )
                return self._record(deleted)
            if not retries:
                if isinstance(error, APIConnectionError) and self._is_never_started:
                    error.permanent |= error.refused  # a wait need not repeat its polls
                break
            delay = self.retry_delay(result, attempts, elapsed, deadline, repeatable=repeatable)
            if delay is None:
                break
            logger.info(
                "%s: %s after %.2f s; attempt %d follows in %.2f s",
                named(request),
                result.status or type(error).__name__,
                elapsed,
                attempts + 1,
                delay,
            )
            await self.runtime.sleep(delay)
        assert error is not None
        logger.info(
            "%s: %s; gave up after %d attempt(s) in %.2f s",
            named(request),
            result.status or type(error).__name__,
            attempts,
            elapsed,
        )
        raise error.after(
            attempts=attempts,
            elapsed=elapsed,
            may_have_been_created=call.creates and may_have_executed(result),
        )

    async def _attempt(
        self, request: Request, call: Call, deadline: Deadline
    ) -> tuple[APIError | None, AttemptResult, Response | None]:
        if self.config.event_hooks:
            request = await self.run_request_hooks(request)
        started = time.monotonic()
        is_trusted = self.is_trusted(request.url)
        try:
            response = await self.transport.send(
                request,
                token=self.config.token if is_trusted else None,
                is_own_origin=is_trusted,
                deadline=deadline,
                limit=self.config.max_response_bytes,
            )
        except APIConnectionError as failure:
            error = failure
        else:
            self._note_response(request.url)
            remember_token(response, self.config.token)
            if logger.isEnabledFor(DEBUG):
                milliseconds = (time.monotonic() - started) * 1000
                logger.debug("%s: %d in %.1f ms", named(request), response.status, milliseconds)
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                self.state.clock.observe(response.headers.get("date"))
                if call.on_response is not None:
                    call.on_response(response)
            if self.config.event_hooks:
                await self.run_response_hooks(response)
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return None, AttemptResult(status=response.status), response
            refused = status_error(named(request), response, token=self.config.token)
            if response.status == HTTPStatus.NOT_FOUND and self.config.base_url.count("/") == 2:
                refused.add(f"The base URL has no path. Set it to {self.config.base_url}/v1.")
            return refused, attempt_result(refused), None
        if not error.request_sent and self._is_never_started:
            error.add(
                "No server is running at the default address. Start one with `dashscope serve`, or "
                "set DASHSCOPE_BASE_URL (or base_url=...) to the address of the API."
                if self.config.is_default_address
                else "Start the server, or check the address."
            )
        return error, attempt_result(error), None

    def retry_delay(
        self,
        result: AttemptResult,
        attempts: int,
        elapsed: float,
        deadline: Deadline,
        *,
        repeatable: bool,
    ) -> float | None:
        """Return the seconds until the next attempt, or `None` to give up. Takes from the quota."""
        if attempts > self.config.max_retries:
            return None
        if attempts > 1 and result.refused and self._is_never_started:
            return None
        if not retry.may_repeat(result, repeatable=repeatable):
            return None
        delay = retry.delay(
            result,
            attempts=attempts,
            elapsed=elapsed,
            left=deadline.left(),
            chance=random.chance(),
        )
        if delay is None:
            return None
        if not self.state.quota.take(result, attempts=attempts):
            logger.info("no retry: the client's retry quota is empty until requests succeed")
            return None
        return delay

    @property
    def _is_never_started(self) -> bool:
        """Whether the server should be on this machine, and has not responded to this process.

        Then it is probably not running, and the user should know soon.
        """
        return self._local_origin is not None and self._local_origin not in _answered

    def expect_server(self) -> None:
        """Note that a server responded to an earlier process at the base URL."""
        if self._local_origin is not None:
            _answered.add(self._local_origin)

    def _note_response(self, url: str) -> None:
        if self._is_never_started and urls.origin(url) == self._local_origin:
            self.expect_server()

    def _request(self, call: Call) -> Request:
        params = [(name, _param(value)) for name, value in call.params if value is not None]
        url = urls.with_query(urls.absolute(self.config.base_url, call.path), params)
        content, kind = call.content, {}
        if call.json is not _NO_BODY:
            content, kind = encode(call.json), {"Content-Type": "application/json"}
        own_headers = self.headers_for(url)
        if kind or call.headers:
            headers = merged(kind, own_headers, call.headers or {})
        else:
            headers = dict(own_headers)
        return Request(
            method=call.method,
            url=url,
            headers=headers,
            content=content,
            files=call.files,
            fields=call.fields or {},
            read_timeout=call.server_wait + ANSWER_MARGIN if call.server_wait else SILENCE_TIMEOUT,
        )

    def is_trusted(self, url: str) -> bool:
        """Return whether a URL gets the token and the client's headers."""
        base_url = self.config.base_url
        if url.startswith(base_url) and url[len(base_url) : len(base_url) + 1] == "/":
            return True  # the common case, without the cost of parsing the URL
        return urls.gets_token(url, base_url, self.config.trusted_hosts)

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the client's headers for a URL, with the trace context for a trusted one."""
        if not self.is_trusted(url):
            # The user's headers may contain secrets that are meant for the API.
            return {"User-Agent": Headers(self.config.headers)["User-Agent"]}
        context = instrumentation.headers()
        return merged(context, self.config.headers) if context else self.config.headers

    async def run_request_hooks(self, request: Request) -> Request:
        """Run the user's request hooks, which may change the request.

        If they move the URL to another origin that is not trusted, secrets stay behind: only the
        headers in `PUBLIC_HEADERS` are sent, and those that the hooks set.
        """
        url = request.url
        headers = {name.lower(): value for name, value in request.headers.items()}
        for hook in self.config.event_hooks.get("request", ()):
            changed = await self.runtime.call(hook, request)
            if isinstance(changed, Request):
                check_headers(changed.headers)
                request = changed
            elif changed is not None:
                raise TypeError(f"a request hook must return a Request or None, not {changed!r}")
        if urls.same_origin(url, request.url) or self.is_trusted(request.url):
            return request
        kept = {
            name: value
            for name, value in request.headers.items()
            if name.lower() in PUBLIC_HEADERS or headers.get(name.lower()) != value
        }
        return evolve(request, headers=kept)

    async def run_response_hooks(self, response: Response) -> None:
        """Run the user's response hooks."""
        for hook in self.config.event_hooks.get("response", ()):
            await self.runtime.call(hook, response)

    def scrub(self, text: str) -> str:
        """Return a text of the server without the token."""
        return scrub(text, self.config.token)

    def token_for(self, url: str) -> Token | None:
        """Return the token if the URL may get it."""
        return self.config.token if self.is_trusted(url) else None


def _param(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def status_error(
    what: str, response: Response, *, token: Token | None, advice: str = ""
) -> APIStatusError:
    """Return the error for a response with an error status.

    Args:
        what: The method and URL of the request.
        response: The response.
        token: The token, to remove from the message.
        advice: What to do, in place of the usual advice.
    """
    text = scrub(response.text, token)
    body = object_in(text)
    title, detail = _str(body.get("title")), _explanation(body.get("detail"))
    status = response.status
    error_type = status_error_type(status)
    retry_after = retry.retry_after_of(response.headers, body)
    explanation = detail or title or text.strip()[:200]
    explanation = explanation or "The server sent an error without an explanation"
    message = f"{shortened(explanation).rstrip('.')}. {what}: {status} {_reason(status)}."
    if retry_after is not None:
        message += f" The server asked to wait {retry_after:g} s."
    if advice:
        message += f" {advice}"
    elif 300 <= status < 400:
        message += " Redirects of API requests are not followed. Check the base URL."
    elif status in _ADVICE:
        message += f" {_ADVICE[status]}"
    return error_type(
        message,
        status=status,
        title=title,
        detail=detail,
        headers=response.headers,
        body=text,
        retry_after=retry_after,
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _explanation(detail: Any) -> str | None:
    """Return the `detail` of an error as text, with a sentence for each entry of a list or object.

    FastAPI and others send `[{"loc": ["body", "input", "prompt"], "msg": "Field required"}]`.
    """
    if is_array(detail):
        sentences = [_sentence(entry) for entry in detail]
    elif is_object(detail) and _message_of(detail) is None:
        sentences = [f"{name}: {_sentence(entry)}" for name, entry in detail.items()]
    elif is_object(detail):
        sentences = [_sentence(detail)]
    else:
        return _str(detail)
    return " ".join(sentences) or None


def _sentence(entry: Any) -> str:
    if is_array(entry) and all(isinstance(item, str) for item in entry):
        return " ".join(map(_sentence, entry))
    text = entry
    if is_object(entry):
        place = entry.get("loc") or entry.get("field")
        place = ".".join(map(str, place)) if is_array(place) else _str(place)
        text = _message_of(entry)
        text = f"{place}: {text}" if text and place else text
    if not isinstance(text, str):
        try:
            text = encode(entry).decode()
        except (ValueError, RecursionError):
            text = "(not shown)"
    return f"{shortened(text.strip().rstrip('.'))}."


def _message_of(entry: dict[str, Any]) -> str | None:
    return next((text for name in _MESSAGES if (text := _str(entry.get(name)))), None)
