"""A debugging session in a separate process: print everything that can be printed.

The session prints errors with their tracebacks, the variables of our frames (as rich and cgitb show
them), attributes and pickles of errors, the requests and responses that hooks receive, and the log.
The token is read from the environment, so that this file does not contain it.

The arguments are a flavor, `echo` or `plain`, and the base URL of the server, for each session.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.pretty import pretty_repr

import dashscope
from dashscope import AsyncClient, Client
from dashscope._common import random

random.chance = lambda: 0.0  # retry without delays
PACKAGE = str(Path(dashscope.__file__).parent)
ADDRESS = ""
"""The base URL of the server."""
ECHO = False
"""Whether the server repeats the token. If so, do not print raw responses."""


def token() -> str:
    return os.environ["DASHSCOPE_API_TOKEN"]


def show(what: str, value: object) -> None:
    print(f"{what}: {value!r}\n{value}\n{pretty_repr(value, max_depth=6)}")
    if hasattr(value, "__dict__"):
        print(pretty_repr(vars(value), max_depth=6))


def chained(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def frames(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            yield trace.tb_frame
        trace = trace.tb_next


def show_error(error: BaseException) -> None:
    print("ERROR", type(error).__name__)
    traceback.print_exception(error)
    for item in chained(error):
        show("an error", item)
        for frame in () if ECHO else frames(item.__traceback__):
            for name, value in frame.f_locals.items():
                print(frame.f_code.co_qualname, name, pretty_repr(value, max_depth=5))
    if isinstance(error, dashscope.DashscopeError):
        print(pickle.dumps(error))
        show("pickled", pickle.loads(pickle.dumps(error)))
        show("copied", copy.deepcopy(error))


def attempt(call: Callable[[], object]) -> None:
    try:
        show("a result", call())
    except BaseException as error:
        show_error(error)
    else:
        print("NO ERROR")


def misconfigured(make: Any) -> None:
    bad: list[dict[str, Any]] = [
        {"base_url": "ftp://example.com"},
        {"base_url": "http://example.com/v1"},
        {"base_url": "https://user:word@example.com/v1"},
        {"base_url": ADDRESS, "timeout": -1},
        {"base_url": ADDRESS, "headers": {"X": "a\nb"}},
        {"base_url": ADDRESS, "proxy": "gopher://x"},
        {"base_url": ADDRESS, "trusted_hosts": ["a b"]},
        {"base_url": ADDRESS, "http_client": object()},
        {"base_url": ADDRESS, "event_hooks": {"never": []}},
    ]
    for options in bad:
        attempt(lambda options=options: make(token(), **options))
        attempt(lambda options=options: make(**options))
    for broken in (lambda: token() + "\n", lambda: token() + " ", lambda: token() + "ü"):
        attempt(lambda broken=broken: make(broken(), base_url=ADDRESS))
    attempt(lambda: make(token().encode(), base_url=ADDRESS))
    attempt(lambda: make([token()], base_url=ADDRESS))


CASES = ("401", "503", "echo", "drop", "html", "large", "gzip", "wrong", "redirect")


def options() -> dict[str, Any]:
    def hook(value: object) -> None:
        show("a hook got", value)

    return {
        "base_url": ADDRESS,
        "max_response_bytes": 10_000,
        "max_retries": 1,
        "event_hooks": {"request": [hook], "response": [hook]},
    }


def fail(_: object) -> None:
    raise RuntimeError("a hook failed")


def sync() -> None:
    misconfigured(Client)
    client = Client(token(), **options())
    show("the client", client)
    show("its inside", client._async._api)
    show("its configuration", client._async._api.config)
    attempt(lambda: pickle.dumps(client))
    attempt(lambda: copy.deepcopy(client))
    attempt(lambda: pickle.dumps(client._async._api.config.token))
    for case in CASES:
        attempt(lambda case=case: client.models.get("acme", case))
        attempt(lambda case=case: client.models.predictions.create("acme", case, input={}))
        attempt(lambda case=case: client.request("POST", f"/{case}", files={"a": b"x"}))
    hasty = client.with_options(timeout=0.3, max_retries=0)
    attempt(lambda: hasty.models.get("acme", "slow"))
    output = client.run("acme/file", {})
    show("an output", output)
    attempt(output.read)
    attempt(lambda: client.run("acme/failed", {}))
    attempt(lambda: client.run("acme/forever", {}, timeout=0.2))
    attempt(lambda: list(client.stream("acme/stream", {}).__enter__()))
    failing = Client(token(), base_url=ADDRESS, event_hooks={"response": [fail]})
    attempt(lambda: failing.models.get("acme", "good"))
    failing.close()
    client.close()
    attempt(lambda: client.models.get("acme", "good"))


def asynchronous() -> None:
    misconfigured(AsyncClient)

    def attempt_async(call: Callable[[AsyncClient], Any]) -> None:
        async def main() -> Any:
            async with AsyncClient(token(), **options()) as client:
                return await call(client)

        attempt(lambda: asyncio.run(main()))

    async def canceled(client: AsyncClient) -> None:
        task = asyncio.create_task(client.models.get("acme", "slow"))
        await asyncio.sleep(0.2)
        show("a task", task)
        task.print_stack()
        task.cancel()
        await task

    async def shown(client: AsyncClient) -> None:
        show("the client", client)
        show("its inside", client._api)
        show("its configuration", client._api.config)

    for case in CASES:
        attempt_async(lambda client, case=case: client.models.get("acme", case))
        attempt_async(
            lambda client, case=case: client.models.predictions.create("acme", case, input={})
        )
    attempt_async(canceled)
    attempt_async(lambda client: client.with_options(timeout=0.3).models.get("acme", "slow"))
    attempt_async(shown)
    attempt_async(lambda client: client.run("acme/failed", {}))
    attempt_async(lambda client: client.run("acme/forever", {}, timeout=0.2))


if __name__ == "__main__":
    for flavor, mode, base_url in zip(*[iter(sys.argv[1:])] * 3, strict=True):
        ADDRESS, ECHO = base_url, mode == "echo"
        if not ECHO:
            logging.basicConfig(level="DEBUG")
        {"sync": sync, "asyncio": asynchronous}[flavor]()
        print("THE END of", flavor)
