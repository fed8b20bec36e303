"""`dashscope serve`: run the local server in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dashscope._common.installing import install_command


@click.command(short_help="Serve the API on this machine.")
@click.argument(
    "models", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=3274,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on. 0 selects a free port.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder. Default: a folder for user data of the platform.",
)
@click.option("--token", help="The token that requests must send. Default: DASHSCOPE_LOCAL_TOKEN.")
@click.option(
    "--rate-limit",
    metavar="N/s",
    help="Answer 429 above this rate of requests: 10/s, 600/m, 5000/h.",
)
@click.option(
    "--strict-inputs",
    is_flag=True,
    help="Reject inputs with unknown names instead of ignoring them.",
)
@click.option(
    "--public-url",
    metavar="URL",
    help="The address of the server for clients behind a reverse proxy: https://example.com/models.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    metavar="ADDRESS",
    multiple=True,
    help="A reverse proxy (address or network) to accept X-Forwarded-* from. Can be repeated.",
)
@click.option(
    "--reload", is_flag=True, help="Load MODELS again after each edit. Pages show import errors."
)
@click.option("--open", "open_browser", is_flag=True, help="Open the web pages in a browser.")
def serve(
    models: Path | None,
    host: str,
    port: int,
    data: Path | None,
    token: str | None,
    rate_limit: str | None,
    strict_inputs: bool,
    public_url: str | None,
    trusted_proxies: tuple[str, ...],
    reload: bool,
    open_browser: bool,
) -> None:
    """Serve the API on this machine, with the built-in models and those in MODELS.

    \b
    dashscope serve
    dashscope serve models.py --reload --open

    Exit codes: 0 after Ctrl-C or SIGTERM, 2 if an option or MODELS is invalid, 3 if another
    server uses the data folder, 4 if the server cannot listen on the address.
    """
    try:
        from dashscope.local import serve as serve_locally
    except ImportError as error:
        sys.exit(
            f"The local server is not installed (no module {error.name}): "
            + install_command("local")
        )
    sys.exit(
        serve_locally(
            models,
            host=host,
            port=port,
            data=data,
            token=token,
            rate_limit=rate_limit,
            strict_inputs=strict_inputs,
            public_url=public_url,
            trusted_proxies=trusted_proxies,
            reload=reload,
            open_browser=open_browser,
        )
    )
