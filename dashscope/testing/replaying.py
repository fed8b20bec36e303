"""`replay()`: clients that answer from recorded traffic, and refuse what is not in it."""

from __future__ import annotations

import json
import os
import threading

import httpx
from attrs import define

from dashscope.testing.exchange import SAFE, Exchange, Scrub, content_of
from dashscope.testing.traffic import FORMAT, Traffic


class UnexpectedRequestError(AssertionError):
    """A request that was not recorded."""


def replay(path: str | os.PathLike[str], *, scrub: Scrub | None = None) -> Traffic:
    """Answer from a file that `record()` wrote, without a network.

    Args:
        path: the file.
        scrub: as it was given to `record()`.

    Returns:
        A context manager, whose `client()` and `async_client()` answer from the file. Leaving it
        raises when a request was not in the file, or a create in it was never asked for.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds something else.

    ```python
    with replay("traffic.jsonl") as traffic:
        assert traffic.client().run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"
    ```
    """
    return Replayer(path, scrub)


class Replayer(Traffic):
    """Answers from the file, and refuses what is not in it."""

    def __init__(self, path: str | os.PathLike[str], scrub: Scrub | None) -> None:
        super().__init__(path, scrub)
        self._lock = threading.Lock()
        self._answers: dict[str, _Answers] = {}
        self._unexpected: list[str] = []
        try:
            self._read()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self._path} is not there: record it, with pytest --dashscope-record or record()"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} holds no recorded traffic ({error!r})") from error

    def _read(self) -> None:
        about, *entries = [
            json.loads(line) for line in self._path.read_text(encoding="utf-8").split("\n") if line
        ]
        if about["dashscope_traffic"] != FORMAT:
            raise ValueError("a newer version wrote it")
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
                f"{self._path} does not have: {'; '.join(self._unexpected)}"
            )
        left = [
            f"{exchange.method} {exchange.url}"
            for answers in self._answers.values()
            for exchange in answers.exchanges[answers.used :]
            if exchange.method not in SAFE
        ]
        if left:
            raise AssertionError(f"{self._path} has what was never asked: {'; '.join(left)}")

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The recorded answer to a request that was read.

        Raises:
            UnexpectedRequestError: when there is none, or no further one.
        """
        scrubber = self._scrubber
        exchange = Exchange(request.method, scrubber.url(request), scrubber.sent(request), {})
        with self._lock:
            answers = self._answers.get(exchange.key)
            found = None if answers is None else answers.next()
            if found is None:
                self._unexpected.append(f"{exchange.method} {exchange.url}")
        if found is None:
            again = "" if answers is None else " another time"
            raise UnexpectedRequestError(
                f"{self._path} does not have {exchange.method} {exchange.url}{again}, "
                f"with {json.dumps(exchange.sent)}{self._others(exchange)}: "
                "record it anew, if it is meant to be there"
            )
        answer = found.answer
        return httpx.Response(
            answer["status"], headers=answer["headers"], content=content_of(answer["body"])
        )

    def _others(self, asked: Exchange) -> str:
        """What the same address was asked with when it was recorded, in words."""
        others = [
            json.dumps(one.sent)
            for answers in self._answers.values()
            for one in answers.exchanges[:1]
            if (one.method, one.url) == (asked.method, asked.url) and one.sent != asked.sent
        ]
        return f" (but with {' or '.join(others)})" if others else ""


@define
class _Answers:
    """What one request was answered, one time after another."""

    exchanges: list[Exchange]
    used: int = 0

    def next(self) -> Exchange | None:
        # A read may be repeated more often than it was recorded: it sees the end once more.
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
