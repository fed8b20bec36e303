"""Streams, files, webhooks, pages and clients behind nginx, with TLS and a path prefix.

It needs Debian's `nginx-light`. nginx runs as a process of the test, on a free port.
"""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from starlette.datastructures import URL

import dashscope
from dashscope.local import LocalServer
from dashscope.types import OutputEvent
from tests.local.conftest import MODELS
from tests.local.test_webhooks import Receiver
from tests.waiting import wait_until

pytestmark = pytest.mark.soak

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        client_max_body_size 101m;
        location /models/ {{
            proxy_pass http://{upstream}{path};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 1h;
            {headers}
        }}
    }}
}}
"""
FORWARDED = """
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Prefix /models;
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def authority(tmp_path: Path) -> ssl.SSLContext:
    """Write a certificate for nginx, and return a context that trusts it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def start_nginx(folder: Path, port: int, upstream: URL, path: str, headers: str) -> Iterator[None]:
    binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert binary, "Install Debian's nginx-light."
    file = folder / "nginx.conf"
    values = {"folder": folder, "port": port, "upstream": upstream.netloc, "path": path}
    file.write_text(CONFIGURATION.format(**values, headers=headers))
    command = [binary, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    with subprocess.Popen(command, cwd=folder) as process:

        def listening() -> bool:
            assert process.poll() is None, (folder / "error.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_until(listening)
            yield
        finally:
            process.terminate()


@pytest.mark.parametrize("how", ["forwarded headers", "public URL", "public URL, whole path"])
def test_the_server_works_behind_nginx(tmp_path: Path, authority: ssl.SSLContext, how: str) -> None:
    port = free_port()
    address = f"https://localhost:{port}/models"
    forwarded = how == "forwarded headers"
    options = {"trusted_proxies": "127.0.0.1"} if forwarded else {"public_url": address}
    path = "" if how == "public URL, whole path" else "/"
    headers = FORWARDED if forwarded else ""
    receiver = Receiver()
    (tmp_path / "nginx").mkdir()
    shutil.copy(tmp_path / "server.pem", tmp_path / "nginx")
    with LocalServer(models=MODELS, data=tmp_path / "data", token="secret", **options) as server:
        upstream = URL(server.base_url)
        nginx = start_nginx(tmp_path / "nginx", port, upstream, path, headers)
        next(nginx)
        try:
            check_client(address, authority, tmp_path, receiver)
            check_pages(address, authority)
        finally:
            nginx.close()
            receiver.close()


def check_client(address: str, authority: ssl.SSLContext, folder: Path, receiver: Receiver) -> None:
    (folder / "a.csv").write_text("text")
    with dashscope.Client("secret", base_url=f"{address}/v1", verify=authority) as client:
        assert client.run("test/read", {"file": folder / "a.csv"})["text"] == "text"
        with client.stream("test/parts", {"count": 3}) as events:
            assert events.prediction.urls.stream.startswith(f"{address}/v1/streams/")
            assert len([event for event in events if isinstance(event, OutputEvent)]) == 3
        image = client.run(
            "test/image", {}, webhook=receiver.url, webhook_events_filter=["completed"]
        )
        assert image.startswith(f"{address}/v1/files/")
        assert httpx.get(image, verify=authority).headers["content-type"] == "image/png"
        wait_until(lambda: receiver.received)
        assert receiver.received[0].json["output"] == image
        pages = client.paginate(client.predictions.list)
        assert len([item for page in pages for item in page]) == 3


def check_pages(address: str, authority: ssl.SSLContext) -> None:
    """Follow the links of a browser: sign in, run a model, watch the events, get its files."""
    headers = {"Origin": address.removesuffix("/models")}
    with httpx.Client(verify=authority, headers=headers, follow_redirects=True) as browser:
        assert browser.get(f"{address}/").url == f"{address}/web/sign-in?next=/web/"
        form = {"token": "secret", "next": "/web/predictions"}
        listed = browser.post(f"{address}/web/sign-in", data=form)
        assert listed.url == f"{address}/web/predictions"
        assert listed.status_code == 200
        [cookie] = browser.cookies.jar
        assert (cookie.secure, cookie.path) == (True, "/models/web")
        path = "/web/models/test/image"
        submitted = browser.post(f"{address}{path}", data={})
        assert str(submitted.url).startswith(f"{address}{path}?run=")
        page = f"{address}/web/predictions/{submitted.url.params['run']}"
        with browser.stream("GET", f"{page}/events") as events:
            assert "event: end" in events.read().decode()
        source = browser.get(page).text.partition('src="/models/v1/')[2].partition('"')[0]
        file = browser.get(f"{address}/v1/{source.replace('&amp;', '&')}")
        assert file.headers["content-type"] == "image/png"
