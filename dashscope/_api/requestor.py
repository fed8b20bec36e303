"""`API`: one request with its retries, as every operation makes it.

`AsyncClient` and the resources share one: the configuration, the runtime, the retry quota and
the polling pace of a client meet here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from copy import copy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from attrs import evolve, frozen

from dashscope._api import instrumentation, retry
from dashscope._api.polling import Pace
from dashscope._api.retry import Outcome, RetryQuota
from dashscope._common import random, urls
from dashscope._common.deadline import Deadline
from dashscope._common.json import encode
from dashscope._common.logging import logger
from dashscope._common.secrets import Token, scrubbed
from dashscope._common.validation import check_flag
from dashscope._config import Config, check_headers
from dashscope._errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
)
from dashscope._failures import is_refusal, maybe_carried_out, outcome_of, status_error
from dashscope._predictions.stream_end import Listening
from dashscope._runtime.runtime import Body, Runtime
from dashscope._transport.mapping import Sending, named, timed_out
from dashscope.types.http import SILENCE_TIMEOUT, FilePart, Headers, Request, Response, merged

if TYPE_CHECKING:
    from dashscope._functions.schema_cache import FailedFetch, KnownSchema
    from dashscope._predictions.watch import Leavable

REPEATABLE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "DELETE"})
MOST_REDIRECTS: Final = 10
ANSWER_MARGIN: Final = 10.0
"""Seconds beyond a `Prefer: wait=n` for the answer to arrive."""

_NO_BODY: Final[Any] = object()


@frozen(kw_only=True)
class Call:
    """An operation: what to ask, and how it may be repeated.

    Attributes:
        method: the HTTP method.
        path: the path below the base URL, or a whole URL.
        params: the query; `None` values are left out.
        json: the body as JSON.
        content: the body as bytes.
        headers: headers of this request.
        files: parts of a multipart body.
        fields: text fields beside `files`.
        repeatable: whether repeating it does no harm; by default, whether the method says so.
        creates: whether a lost answer may have created something.
        hold: seconds for which the server may hold the answer back.
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
    hold: float = 0.0


class API:
    """The Dashscope HTTP API, as one client sees it."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        for name, hooks in config.event_hooks.items():
            for hook in hooks:
                runtime.check_callback(f"event_hooks[{name!r}]", hook)
        self.config = config
        self.runtime = runtime
        self.quota = RetryQuota()
        self.pace = Pace()
        self.listening = Listening(config.max_connections)
        self.schemas: dict[str, KnownSchema | FailedFetch] = {}
        self.under_way: set[Leavable] = set()

    def with_config(self, **changes: Any) -> API:
        """The same connections, quota and pace under another configuration."""
        other = copy(self)
        other.config = evolve(self.config, **changes)
        return other

    def claims(self, use_file_output: bool | None) -> bool:
        """Do URLs in an output become file outputs? As a call says, else as the client does."""
        if use_file_output is None:
            return self.config.use_file_output
        return check_flag("use_file_output", use_file_output)

    async def send(
        self, call: Call, *, deadline: Deadline = Deadline.NEVER, look: bool = False
    ) -> Response:
        """Make the request, with its retries.

        Args:
            call: the operation.
            deadline: when it must be over; the client's `timeout` bounds it as well.
            look: whether this is a look at a running prediction, which sets the client's pace.

        Raises:
            APIStatusError: for an error of the server's.
            APIConnectionError: when no answer came.
        """
        timeout = self.config.timeout
        deadline = deadline.sooner(Deadline.after(None if timeout is None else timeout + call.hold))
        request = self._request(call)
        repeatable = (
            call.method in REPEATABLE_METHODS if call.repeatable is None else call.repeatable
        )
        started = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            try:
                error, outcome, response = await self._attempt(request, deadline)
            except APIResponseError as failure:
                elapsed = time.monotonic() - started
                failure.after(
                    attempts=attempts, elapsed=elapsed, may_have_been_created=call.creates
                )
                raise
            elapsed = time.monotonic() - started
            if look and outcome.status == HTTPStatus.TOO_MANY_REQUESTS:
                self.pace.throttled(outcome.retry_after)
            if error is None and response is not None:
                self.quota.give_back(retried=attempts > 1)
                return evolve(response, attempts=attempts, elapsed=elapsed)
            if call.method == "DELETE" and attempts > 1 and outcome.status == HTTPStatus.NOT_FOUND:
                # The first attempt deleted it, and its answer was lost.
                return Response(
                    status=204,
                    headers=Headers({}),
                    content=b"",
                    attempts=attempts,
                    elapsed=elapsed,
                )
            delay = self.delay(outcome, attempts, elapsed, deadline, repeatable=repeatable)
            if delay is None:
                break
            logger.info(
                "%s: %s after %.2f s; attempt %d in %.2f s",
                named(request),
                outcome.status or type(error).__name__,
                elapsed,
                attempts + 1,
                delay,
            )
            await self.runtime.sleep(delay)
        assert error is not None
        logger.info(
            "%s: %s, given up after %d attempt(s) in %.2f s",
            named(request),
            outcome.status or type(error).__name__,
            attempts,
            elapsed,
        )
        raise error.after(
            attempts=attempts,
            elapsed=elapsed,
            may_have_been_created=call.creates and maybe_carried_out(outcome),
        )

    async def follow(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        deadline: Deadline = Deadline.NEVER,
        patience: float = SILENCE_TIMEOUT,
    ) -> Body:
        """GET a URL of the server's, by the rules for such URLs, through its redirects.

        Args:
            url: the URL.
            headers: headers beside the client's.
            deadline: when the answer's head must be there.
            patience: seconds without a byte after which the connection counts as lost.

        Returns:
            The answer, its body unread and its status unchecked.

        Raises:
            APIResponseError: when the URL may not be asked, or its redirects do not end.
            APIConnectionError: when no answer came.
        """
        first, came_from = url, None
        for _ in range(MOST_REDIRECTS):
            refusal = urls.refusal(url, self.config.base_url, came_from=came_from)
            if refusal is not None:
                raise APIResponseError(f"{scrubbed(urls.shown(url))!r} is not asked: {refusal}.")
            try:
                body = await self._open(url, headers, deadline, patience)
            except urls.NoURLError as error:
                reason = scrubbed(f"{urls.shown(url)!r} is not asked: {error}.")
                raise APIResponseError(reason) from None
            location = body.headers.get("location")
            if body.status not in (301, 302, 303, 307, 308) or location is None:
                return body
            await body.aclose()
            try:
                came_from, url = url, urls.joined(url, location)
            except urls.NoURLError as error:
                reason = scrubbed(f"{urls.shown(url)} redirects to what is no URL ({error}).")
                raise APIResponseError(reason) from None
        raise APIResponseError(f"{urls.shown(first)}: more than {MOST_REDIRECTS} redirects.")

    async def refused(self, body: Body) -> APIStatusError:
        """The error that an answer to `follow()` stands for; reads and closes it."""
        try:
            content = await body.read(self.config.max_response_bytes)
        finally:
            await body.aclose()
        response = Response(status=body.status, headers=body.headers, content=content)
        url = body.asked.partition(" ")[2]  # after the redirects
        advice = ""
        if body.status in (401, 403) and not self._is_ours(url):
            advice = (
                "It was asked without the token, which goes to the API's own address only: "
                f"if {urlsplit(url).hostname} is to have it, name it in trusted_hosts."
            )
        return status_error(body.asked, response, advice=advice)

    async def _open(
        self, url: str, headers: Mapping[str, str], deadline: Deadline, patience: float
    ) -> Body:
        request = await self._hooked(
            Request(
                method="GET",
                url=url,
                headers=merged(self._own_headers(url), headers),
                patience=patience,
            )
        )
        body: Body | None = None
        with self.runtime.bound(deadline):
            body = await self.runtime.open(
                request,
                token=self._token_for(request.url),
                deadline=deadline,
                sending=Sending(),
            )
        if body is None:
            raise timed_out(f"GET {urls.shown(url)}")
        try:
            await self._answered(Response(status=body.status, headers=body.headers, content=b""))
        except BaseException:
            await body.aclose()
            raise
        return body

    async def _attempt(
        self, request: Request, deadline: Deadline
    ) -> tuple[APIError | None, Outcome, Response | None]:
        request = await self._hooked(request)
        started = time.monotonic()
        try:
            response = await self.runtime.send(
                request,
                token=self._token_for(request.url),
                deadline=deadline,
                limit=self.config.max_response_bytes,
            )
        except APIConnectionError as failure:
            error = failure
        else:
            logger.debug(
                "%s: %d in %.1f ms",
                named(request),
                response.status,
                (time.monotonic() - started) * 1000,
            )
            await self._answered(response)
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return None, Outcome(status=response.status), response
            refused = status_error(named(request), response)
            return refused, outcome_of(refused), None
        if self.config.is_default_address and not error.request_sent:
            error.add(
                "No server answers at the default address: start one with `dashscope serve`, "
                "or set DASHSCOPE_BASE_URL (or base_url=...) to the API's."
            )
        return error, outcome_of(error), None

    def delay(
        self,
        outcome: Outcome,
        attempts: int,
        elapsed: float,
        deadline: Deadline,
        *,
        repeatable: bool,
    ) -> float | None:
        """Seconds until the next attempt, paid from the quota, or `None` for none."""
        if attempts > self.config.max_retries:
            return None
        if attempts > 1 and self.config.is_default_address and is_refusal(outcome):
            return None  # nobody has started the local server; the error tells how
        if not retry.may_repeat(outcome, repeatable=repeatable):
            return None
        delay = retry.delay(
            outcome,
            attempts=attempts,
            elapsed=elapsed,
            left=deadline.left(),
            chance=random.chance(),
        )
        if delay is None:
            return None
        if not self.quota.take(outcome, attempts=attempts):
            logger.info("no retry: those of this client are used up until requests succeed")
            return None
        return delay

    def _request(self, call: Call) -> Request:
        url = urls.absolute(self.config.base_url, call.path)
        params = [(name, _param(value)) for name, value in call.params if value is not None]
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        content, kind = call.content, {}
        if call.json is not _NO_BODY:
            content, kind = encode(call.json), {"Content-Type": "application/json"}
        headers = merged(kind, self._own_headers(url), call.headers or {})
        return Request(
            method=call.method,
            url=url,
            headers=headers,
            content=content,
            files=call.files,
            fields=call.fields or {},
            patience=call.hold + ANSWER_MARGIN if call.hold else SILENCE_TIMEOUT,
        )

    def _is_ours(self, url: str) -> bool:
        return urls.gets_token(url, self.config.base_url, self.config.trusted_hosts)

    def _own_headers(self, url: str) -> Mapping[str, str]:
        """The client's headers, and whose trace a request to the API belongs to."""
        if not self._is_ours(url):
            # Headers that were meant for the API may be secrets as well.
            return {"User-Agent": Headers(self.config.headers)["User-Agent"]}
        context = instrumentation.headers()
        return merged(context, self.config.headers) if context else self.config.headers

    async def _hooked(self, request: Request) -> Request:
        for hook in self.config.event_hooks.get("request", ()):
            changed = await self.runtime.call(hook, request)
            if isinstance(changed, Request):
                check_headers(changed.headers)
                request = changed
            elif changed is not None:
                raise TypeError(f"a request hook returned {changed!r}, not a Request or None")
        return request

    async def _answered(self, response: Response) -> None:
        for hook in self.config.event_hooks.get("response", ()):
            await self.runtime.call(hook, response)

    def _token_for(self, url: str) -> Token | None:
        return self.config.token if self._is_ours(url) else None


def _param(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
