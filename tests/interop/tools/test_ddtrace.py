"""ddtrace records requests as spans and adds its trace header.

It runs in a subprocess because it changes the whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.interop.conftest import respond_to_run
from tests.servers.fake_server import FakeServer

PROGRAM = """
import asyncio, json, sys
from ddtrace import patch
patch(httpx=True)
from ddtrace.trace import TraceFilter, tracer

spans = []
class Keep(TraceFilter):
    def process_trace(self, trace):
        spans.extend(trace)
        return None

tracer.configure(trace_processors=[Keep()])
from dashscope import AsyncClient, Client

base_url, flavor = sys.argv[1:]

async def main():
    async with AsyncClient("r8_a-token", base_url=base_url) as client:
        return await client.run("owner/name", {})

with tracer.trace("caller"):
    if flavor == "async":
        output = asyncio.run(main())
    else:
        with Client("r8_a-token", base_url=base_url) as client:
            output = client.run("owner/name", {})
assert output == "hello Alice"
(caller,) = [span for span in spans if span.name == "caller"]
requests = [span for span in spans if span.name == "http.request"]
assert {span.parent_id for span in requests} == {caller.span_id}
print(json.dumps([
    [span.get_tag("http.method"), span.get_tag("http.url"), span.get_tag("http.status_code"),
     span.span_id]
    for span in sorted(requests, key=lambda span: span.start_ns)
]))
"""


@pytest.mark.parametrize("flavor", ["async", "sync"])
def test_requests_are_spans(flavor: str, fake_server: FakeServer) -> None:
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    quiet = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
        "DD_TRACE_HTTP_CLIENT_TAG_QUERY_STRING": "false",
    }
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, fake_server.base_url, flavor],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    spans = json.loads(found.stdout)
    assert [span[:3] for span in spans] == [
        ["POST", f"{fake_server.base_url}/models/owner/name/predictions", "201"],
        ["GET", f"{fake_server.base_url}/predictions/p1/stream", "200"],
        ["GET", f"{fake_server.base_url}/predictions/p1", "200"],
    ]
    for span, request in zip(spans, fake_server.requests, strict=True):
        parents = [value for name, value in request.items if name.lower() == "traceparent"]
        assert len(parents) == 1
        assert f"-{span[3]:016x}-" in parents[0]
