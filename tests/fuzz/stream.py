"""A stream of any bytes yields events or raises a Dashscope error, and always ends.

The first byte selects the size of the chunks. Connections are separated by `=====`, and the first
byte of each selects the response. The last part is the prediction that the final poll returns.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from dashscope import DashscopeError, DoneEvent, OutputEvent, Prediction
from dashscope.types.prediction import PredictionURLs
from tests.fuzz.scripted import client_of

SEPARATOR = b"====="
LOST = 5
STATUSES = (200, 200, 200, 404, 503, LOST, 429, 401)
WHOLE = b'{"id": "p", "status": "succeeded", "output": ["a", "b"], "logs": "l"}'
SEEDS = (
    b"\x05\x00event: output\nid: 1\ndata: a\n\nevent: done\ndata: {}\n\n" + SEPARATOR + WHOLE,
    SEPARATOR.join(
        [
            b"\x09\x00event: output\nid: 1\ndata: a\n\nid: 2\nevent: out",
            b"\x05",
            b'\x00event: output\nid: 2\ndata: b\n\nevent: error\ndata: {"detail": "no"}\n\n',
            WHOLE,
        ]
    ),
    SEPARATOR.join([b"\x03\x04", b"\x03", WHOLE]),
    SEPARATOR.join(
        [
            b"\xff\x01retry: 99999999999999999999\nid\ndata\n\nevent: logs\ndata: l\n\n",
            b"\x06",
            b'{"id": "p", "status": "failed", "error": "no", "output": null}',
        ]
    ),
    SEPARATOR.join([b"\x07\x01event: new\ndata: \xff\n\n", b'{"id": "p", "status": "x"}', b"[1"]),
)
MOST_REQUESTS = 200


def one_input(data: bytes) -> None:
    *connections, last = data[1:].split(SEPARATOR)
    size = (data[0] if data else 0) % 64 + 1
    left = iter(connections[:8])
    requested = 0

    def response(request: httpx.Request) -> httpx.Response:
        nonlocal requested
        requested += 1
        assert requested < MOST_REQUESTS
        if request.url.path == "/v1/predictions/p":
            # The prediction is finished at the end. Otherwise the client would wait.
            content = last if requested < 4 else WHOLE
            return httpx.Response(200, content=content)
        message = next(left, None)
        status = LOST if message is None else STATUSES[message[0] % 8] if message else 200
        if status == LOST or message is None:
            raise httpx.ConnectError("refused", request=request)
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(status, headers=headers, content=chunks(message[1:], size))

    client = client_of(response)
    urls = PredictionURLs(stream="https://api.example.com/v1/stream")
    prediction = Prediction(id="p", status="processing", urls=urls)
    events = []
    try:
        with client.predictions.stream(prediction, use_file_output=False) as stream:
            events.extend(stream)
    except DashscopeError:
        return
    assert isinstance(events[-1], DoneEvent)
    assert not any(isinstance(event, DoneEvent) for event in events[:-1])
    assert all(type(str(event)) is str for event in events)
    assert all(event.text == str(event) for event in events if isinstance(event, OutputEvent))


def chunks(content: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]
