"""`python -m benchmarks.server FOLDER`: serve until standard input is closed.

Prints one line of JSON: the addresses over HTTP/1.1, over TLS and over TLS with HTTP/2, and the
file of the certificate authority.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import trustme
import uvloop

from benchmarks.server import http1, http2
from benchmarks.server.app import App


async def serve(folder: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    loop = asyncio.get_running_loop()
    said = {"ca": str(bundle)}
    servers = []
    for name, scheme, protocol in (
        ("http", "http", http1.Connection),
        ("https", "https", http1.Connection),
        ("http2", "https", http2.Connection),
    ):
        context = None
        if scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            context.set_alpn_protocols(["h2"] if name == "http2" else ["http/1.1"])
        # The port is known only once the server listens, and the responses contain it.
        app: list[App] = []
        server = await loop.create_server(
            lambda protocol=protocol, app=app: protocol(app[0]),
            "127.0.0.1",
            0,
            ssl=context,
            backlog=8192,
        )
        origin = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        app.append(App(origin))
        said[name] = origin
        servers.append(server)
    print(json.dumps(said), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
