"""`fetch()`: GET a URL that the server gave us, by the rules for such URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from dashscope._api.requestor import Requestor, status_error
from dashscope._common import urls
from dashscope._common.deadline import Deadline
from dashscope._common.secrets import scrubbed
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
    """GET a URL of the server's, by the rules for such URLs, through its redirects.

    Args:
        requestor: What sends the request.
        url: the URL.
        headers: headers beside the client's.
        deadline: when the answer's head must be there.
        read_timeout: seconds without a byte after which the connection counts as lost.

    Returns:
        The answer, its body unread and its status unchecked.

    Raises:
        APIResponseError: when the URL may not be asked, or its redirects do not end.
        APIConnectionError: when no answer came.
    """
    first, came_from = url, None
    for _ in range(MOST_REDIRECTS):
        rejection = urls.url_rejection(url, requestor.config.base_url, came_from=came_from)
        if rejection is not None:
            raise APIResponseError(f"{scrubbed(urls.shown(url))!r} is not asked: {rejection}.")
        try:
            body = await _open(requestor, url, headers, deadline, read_timeout)
        except urls.InvalidURLError as error:
            reason = scrubbed(f"{urls.shown(url)!r} is not asked: {error}.")
            raise APIResponseError(reason) from None
        location = body.headers.get("location")
        if body.status not in (301, 302, 303, 307, 308) or location is None:
            return body
        await body.aclose()
        try:
            came_from, url = url, urls.joined(url, location)
        except urls.InvalidURLError as error:
            reason = scrubbed(f"{urls.shown(url)} redirects to what is no URL ({error}).")
            raise APIResponseError(reason) from None
    raise APIResponseError(f"{urls.shown(first)}: more than {MOST_REDIRECTS} redirects.")


async def fetch_error(requestor: Requestor, body: Body) -> APIStatusError:
    """The error that an answer to `fetch()` stands for; reads and closes it."""
    try:
        content = await body.read(requestor.config.max_response_bytes)
    finally:
        await body.aclose()
    response = Response(status=body.status, headers=body.headers, content=content)
    url = body.asked.partition(" ")[2]  # after the redirects
    advice = ""
    if body.status in (401, 403) and not requestor.is_trusted(url):
        advice = (
            "It was asked without the token, which goes to the API's own address only: "
            f"if {urlsplit(url).hostname} is to have it, name it in trusted_hosts."
        )
    return status_error(body.asked, response, advice=advice)


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
