"""`replay()`: clients that get recorded responses and reject other requests."""

from __future__ import annotations

import json
import os
import threading

import httpx
from attrs import define

from dashscope.testing.exchange import SAFE, Exchange, Scrub, content_of
from dashscope.testing.traffic import FORMAT, Traffic


class UnexpectedRequestError(AssertionError):
    """A request was not recorded."""


def replay(path: str | os.PathLike[str], *, scrub: Scrub | None = None) -> Traffic:
    """Answer requests from a file that `record()` wrote, without a network.

    Args:
        path: The file.
        scrub: The function that was passed to `record()`.

    Returns:
        A context manager. Its `client()` and `async_client()` answer from the file. Exiting the
        block raises an error if a request was not in the file, or a recorded create was not
        requested.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not recorded traffic.

    Example:
        ```python
        with replay("traffic.jsonl") as traffic:
            assert traffic.client().run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"
        ```
    """
    return Replayer(path, scrub)


class Replayer(Traffic):
    """Answers requests from the file, and rejects others."""

    def __init__(self, path: str | os.PathLike[str], scrub: Scrub | None) -> None:
        super().__init__(path, scrub)
        self._lock = threading.Lock()
        self._answers: dict[str, _Answers] = {}
        self._unexpected: list[str] = []
        try:
            self._read()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self._path} does not exist. Record it with pytest --dashscope-record or record()"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is not recorded traffic ({error!r})") from error

    def _read(self) -> None:
        about, *entries = [
            json.loads(line) for line in self._path.read_text(encoding="utf-8").split("\n") if line
        ]
        if about["dashscope_traffic"] != FORMAT:
            raise ValueError("written by a newer version")
        self._base_url: str = about["base_url"]
        for entry in entries:
            asked = entry["request"]
            exchange = Exchange(asked["method"], asked["url"], asked["body"], entry["response"])
            self._answers.setdefault(exchange.key, _Answers([])).exchanges.append(exchange)

    def _at(self, api_token: str | None, base_url: str | None) -> tuple[str | None, str | None]:
        if api_token is not None:
            self._scrubber.secrets.add(api_token)
        return api_token or "replayed", base_url or self._base_url

    def _transport(self) -> httpx.BaseTransport:
        return _ReplayingTransport(self)

    def _async_transport(self) -> httpx.AsyncBaseTransport:
        return _ReplayingTransport(self)

    def _finish(self) -> None:
        if self._unexpected:
            raise UnexpectedRequestError(
                f"Requests that are not in {self._path}: {'; '.join(self._unexpected)}"
            )
        left = [
            f"{exchange.method} {exchange.url}"
            for answers in self._answers.values()
            for exchange in answers.exchanges[answers.used :]
            if exchange.method not in SAFE
        ]
        if left:
            raise AssertionError(f"Requests in {self._path} that were not sent: {'; '.join(left)}")

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the recorded response to a request whose body was read.

        Raises:
            UnexpectedRequestError: If there is no response, or no further one.
        """
        scrubber = self._scrubber
        exchange = Exchange(request.method, scrubber.url(request), scrubber.sent(request), {})
        with self._lock:
            answers = self._answers.get(exchange.key)
            found = None if answers is None else answers.next()
            if found is None:
                self._unexpected.append(f"{exchange.method} {exchange.url}")
        if found is None:
            again = "" if answers is None else " again"
            raise UnexpectedRequestError(
                f"{exchange.method} {exchange.url} is not in {self._path}{again}, "
                f"with {json.dumps(exchange.sent)}{self._others(exchange)}. "
                "If the request is correct, record the traffic again"
            )
        answer = found.answer
        return httpx.Response(
            answer["status"], headers=answer["headers"], content=content_of(answer["body"])
        )

    def _others(self, asked: Exchange) -> str:
        """Return the bodies that were recorded for the same URL, in words."""
        others = [
            json.dumps(one.sent)
            for answers in self._answers.values()
            for one in answers.exchanges[:1]
            if (one.method, one.url) == (asked.method, asked.url) and one.sent != asked.sent
        ]
        return f" (but with {' or '.join(others)})" if others else ""


@define
class _Answers:
    """The recorded responses to one request, in order."""

    exchanges: list[Exchange]
    used: int = 0

    def next(self) -> Exchange | None:
        # A read that is repeated more often than recorded gets the last response again.
        if self.used < len(self.exchanges):
            self.used += 1
        elif self.exchanges[-1].method not in SAFE:
            return None
        return self.exchanges[self.used - 1]


class _ReplayingTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, replayer: Replayer) -> None:
        self._replayer = replayer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._replayer.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self._replayer.answer(request)
