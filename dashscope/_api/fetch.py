"""`fetch()`: GET a URL that the server sent, following the rules for such URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from dashscope._api.requestor import Requestor, status_error
from dashscope._common import urls
from dashscope._common.deadline import Deadline
from dashscope._errors import APIResponseError, APIStatusError, timed_out
from dashscope._transport.bodies import Body
from dashscope._transport.mapping import SendState
from dashscope.types.http import SILENCE_TIMEOUT, Request, Response, merged

MOST_REDIRECTS: Final = 10


async def fetch(
    requestor: Requestor,
    url: str,
    *,
    headers: Mapping[str, str],
    deadline: Deadline = Deadline.NEVER,
    read_timeout: float = SILENCE_TIMEOUT,
) -> Body:
    """GET a URL that the server sent, and follow its redirects.

    Args:
        requestor: Sends the request.
        url: The URL.
        headers: Headers in addition to the client's.
        deadline: When the head of the response must have arrived.
        read_timeout: Seconds without a byte after which the connection counts as lost.

    Returns:
        The response, with its body unread and its status unchecked.

    Raises:
        APIResponseError: If the URL is not allowed, or there are too many redirects.
        APIConnectionError: If no response arrives.
    """
    first, came_from = url, None
    for _ in range(MOST_REDIRECTS):
        rejection = urls.url_rejection(url, requestor.config.base_url, came_from=came_from)
        if rejection is not None:
            raise APIResponseError(
                f"A URL of the server is not allowed: {rejection}. "
                f"The URL is {requestor.scrub(urls.shown(url))!r}."
            )
        try:
            body = await _open(requestor, url, headers, deadline, read_timeout)
        except urls.InvalidURLError as error:
            reason = requestor.scrub(f"A URL of the server is invalid: {error}.")
            raise APIResponseError(reason) from None
        location = body.headers.get("location")
        if body.status not in (301, 302, 303, 307, 308) or location is None:
            return body
        await body.aclose()
        try:
            came_from, url = url, urls.joined(url, location)
        except urls.InvalidURLError as error:
            reason = requestor.scrub(
                f"A redirect has an invalid URL ({error}): GET {urls.shown(url)}."
            )
            raise APIResponseError(reason) from None
    raise APIResponseError(f"More than {MOST_REDIRECTS} redirects: GET {urls.shown(first)}.")


async def fetch_error(requestor: Requestor, body: Body) -> APIStatusError:
    """Return the error for an unsuccessful response of `fetch()`. Reads and closes the response."""
    try:
        content = await body.read(requestor.config.max_response_bytes)
    finally:
        await body.aclose()
    response = Response(status=body.status, headers=body.headers, content=content)
    url = body.asked.partition(" ")[2]  # after the redirects
    advice = ""
    if body.status in (401, 403) and not requestor.is_trusted(url):
        advice = (
            "The request had no token, because the token is sent only to the API's own origin. "
            f"To send it to {urlsplit(url).hostname}, add that host to trusted_hosts."
        )
    return status_error(body.asked, response, token=requestor.config.token, advice=advice)


async def _open(
    requestor: Requestor,
    url: str,
    headers: Mapping[str, str],
    deadline: Deadline,
    read_timeout: float,
) -> Body:
    request = await requestor.run_request_hooks(
        Request(
            method="GET",
            url=url,
            headers=merged(requestor.headers_for(url), headers),
            read_timeout=read_timeout,
        )
    )
    body: Body | None = None
    with requestor.runtime.bound(deadline):
        body = await requestor.transport.open(
            request,
            token=requestor.token_for(request.url),
            is_own_origin=requestor.is_trusted(request.url),
            deadline=deadline,
            state=SendState(),
        )
    if body is None:
        raise timed_out(f"GET {urls.shown(url)}")
    try:
        await requestor.run_response_hooks(
            Response(status=body.status, headers=body.headers, content=b"")
        )
    except BaseException:
        await body.aclose()
        raise
    return body
