"""How connections end: with a GOAWAY or reset in HTTP/2, and without close_notify in TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import httpx
import pytest

from dashscope import APIConnectionError
from tests.servers.certificates import server_context
from tests.servers.fake_server import prediction
from tests.servers.slow_server import SlowServer

if TYPE_CHECKING:
    import trustme

Start = Callable[..., SlowServer]


@pytest.fixture
def start(authority: trustme.CA) -> Iterator[Start]:
    """Start a TLS server that runs a script for each connection."""
    servers: list[SlowServer] = []

    def start(talk: Callable[[ssl.SSLSocket, SlowServer], None], *protocols: str) -> SlowServer:
        context = server_context(authority, "localhost")
        context.set_alpn_protocols(list(protocols))

        def talk_tls(connection: socket.socket, server: SlowServer) -> None:
            connection.settimeout(10)
            with context.wrap_socket(connection, server_side=True) as tls_server:
                talk(tls_server, server)

        server = SlowServer(talk_tls, "https")
        server.base_url = server.base_url.replace("127.0.0.1", "localhost")
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def http2(*endings: str) -> Callable[[ssl.SSLSocket, SlowServer], None]:
    """Speak HTTP/2, and end the requests in turn. The last ending repeats."""
    remaining = list(endings)

    def talk(connection: ssl.SSLSocket, server: SlowServer) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                ends = isinstance(event, h2.events.StreamEnded)
                if isinstance(event, h2.events.DataReceived):
                    size = event.flow_controlled_length
                    state.acknowledge_received_data(size, event.stream_id)
                if isinstance(event, h2.events.RequestReceived):
                    server.request_lines.append("request")
                    ends = remaining[0] == "goaway before the body"
                if ends:
                    ending = remaining.pop(0) if len(remaining) > 1 else remaining[0]
                    end(state, event.stream_id, ending)  # type: ignore[union-attr]
                    if "goaway" in ending:
                        break
            connection.sendall(state.data_to_send())
            if state.state_machine.state is h2.connection.ConnectionState.CLOSED:
                while connection.recv(65536):  # a reset would discard the sent data
                    pass
                return

    return talk


def end(state: h2.connection.H2Connection, stream: int, ending: str) -> None:
    """Respond to a request, or reject it."""
    match ending:
        case "answer":
            body = httpx.Response(201, json=prediction("succeeded", output="x")).content
            state.send_headers(stream, [(":status", "201"), ("content-type", "application/json")])
            state.send_data(stream, body, end_stream=True)
        case "goaway before ours" | "goaway before the body":
            state.close_connection(last_stream_id=max(0, stream - 2))
        case "goaway after ours":
            state.close_connection(last_stream_id=stream)
        case "refused":
            state.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        case "reset":
            state.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)


NOT_EXECUTED = ["goaway before ours", "goaway before the body", "refused"]
TEXT = "x" * 70_000
"""More than the flow control window of a stream."""


@pytest.mark.parametrize("ending", NOT_EXECUTED)
async def test_a_create_that_http2_did_not_process_is_retried(
    make_client: Any,
    flavor: str,
    start: Start,
    trusting_tls: ssl.SSLContext,
    no_jitter: None,
    ending: str,
) -> None:
    theirs = (httpx.Client if flavor == "sync" else httpx.AsyncClient)(
        verify=trusting_tls, http2=True
    )
    for options in ({"verify": trusting_tls, "http2": True}, {"http_client": theirs}):
        # On the first stream of a connection, and on the second.
        for before in ([], ["answer"]):
            if before and ending == "goaway before the body" and "http_client" in options:
                continue  # only our own connections know the id of a stream that is being sent
            server = start(http2(*before, ending, ending, "answer"), "h2")
            client = make_client(base_url=server.base_url, timeout=20, **options)
            for _ in (*before, "create"):
                created = await client.predictions.create(version="v", input={"text": TEXT})
                assert created.output == "x"
            assert len(server.request_lines) == len(before) + 3
            await client.aclose()
    if flavor == "sync":
        theirs.close()
    else:
        await theirs.aclose()


@pytest.mark.parametrize("ending", ["goaway after ours", "reset"])
async def test_a_create_that_may_have_been_processed_is_not_retried(
    make_client: Any, start: Start, trusting_tls: ssl.SSLContext, ending: str
) -> None:
    server = start(http2("answer", ending), "h2")
    client = make_client(base_url=server.base_url, verify=trusting_tls, http2=True)
    await client.predictions.create(version="v", input={})
    with pytest.raises(APIConnectionError) as caught:
        await client.predictions.create(version="v", input={})
    assert caught.value.may_have_been_created
    assert len(server.request_lines) == 2
    await client.aclose()


@pytest.mark.parametrize("is_clean", [True, False])
async def test_a_body_without_a_length_ends_with_close_notify(
    make_client: Any, start: Start, trusting_tls: ssl.SSLContext, tmp_path: Path, is_clean: bool
) -> None:
    def talk(connection: ssl.SSLSocket, server: SlowServer) -> None:
        while connection.recv(65536):
            connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"username": "a"}')
            if is_clean:
                connection.settimeout(0.01)
                with contextlib.suppress(OSError):  # the client has not closed its side yet
                    connection.unwrap()
            connection.shutdown(socket.SHUT_RDWR)
            return

    client = make_client(base_url=start(talk).base_url, verify=trusting_tls, max_retries=0)
    signed = {"owner": "o", "expiry": 1, "signature": "s"}

    async def save() -> None:
        async with client.files.download("f", **signed) as download:
            await download.save(tmp_path / "file")

    async def read() -> None:
        async with client.files.download("f", **signed) as download:
            await download.read()

    for call in (client.account.get, save, read):
        if is_clean:
            await call()
            continue
        with pytest.raises(APIConnectionError):
            await call()
    assert (tmp_path / "file").exists() == is_clean
    await client.aclose()
