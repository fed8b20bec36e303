"""pytest-recording replays by default and records on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashscope.local import LocalServer

TESTS = """
import asyncio
import pytest
from dashscope import AsyncClient, Client

BASE_URL = {base_url!r}


@pytest.mark.vcr
def test_sync():
    with Client("r8_token", base_url=BASE_URL, max_retries=0) as client:
        assert client.run("dashscope/hello-world", {{"text": "Alice"}}) == "hello Alice"


@pytest.mark.vcr
def test_async():
    async def main():
        async with AsyncClient("r8_token", base_url=BASE_URL, max_retries=0) as client:
            assert await client.run("dashscope/hello-world", {{"text": "Bob"}}) == "hello Bob"
            async with client.stream("dashscope/countdown", {{"start": 1, "delay": 0}}) as stream:
                assert "".join([str(event) async for event in stream]) == "1\\n0\\n"

    asyncio.run(main())


@pytest.fixture(scope="module")
def vcr_config():
    return {{"filter_headers": ["authorization"]}}
"""
BLOCKED = """
import pytest
from dashscope import Client


@pytest.mark.block_network
def test_blocked():
    with pytest.raises(RuntimeError, match="Network is disabled"):
        Client(base_url={base_url!r}, max_retries=0).account.get()
"""


def test_record_and_replay(pytester: pytest.Pytester) -> None:
    with LocalServer() as server:
        pytester.makepyfile(test_it=TESTS.format(base_url=server.base_url))
        run(pytester).assert_outcomes(failed=2)  # no cassette exists
        assert server.requests == []
        run(pytester, "--record-mode=once").assert_outcomes(passed=2)
        answered = len(server.requests)
        assert answered > 4
        run(pytester).assert_outcomes(passed=2)
        assert len(server.requests) == answered
    run(pytester, "--block-network").assert_outcomes(passed=2)
    cassettes = sorted((pytester.path / "cassettes" / "test_it").iterdir())
    assert [path.name for path in cassettes] == ["test_async.yaml", "test_sync.yaml"]
    assert "r8_token" not in "".join(path.read_text() for path in map(Path, cassettes))


def test_block_network(pytester: pytest.Pytester) -> None:
    with LocalServer() as server:
        pytester.makepyfile(test_it=BLOCKED.format(base_url=server.base_url))
        run(pytester).assert_outcomes(passed=1)
        assert server.requests == []


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    plugin = ("-p", "pytest_recording.plugin", "-p", "no:cacheprovider")
    return pytester.runpytest_subprocess(*plugin, *options)


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
