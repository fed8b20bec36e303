"""Renders pages from templates. Values are escaped, and undefined variables raise."""

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dashscope._config import __version__
from dashscope.local.http.address import base_path
from dashscope.local.http.problems import ProblemError
from dashscope.local.http.services import services

PREFIX: Final = "/web"
"""The path of the pages. All other paths belong to the API."""


def format_duration(seconds: float) -> str:
    """Format a duration."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def format_size(size: int) -> str:
    """Format a number of bytes."""
    for unit, bytes_of in (("MB", 1_000_000), ("kB", 1000)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} bytes"


def format_json(value: Any) -> str:
    """Format a JSON value for reading. The template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


_TEMPLATES: Final = Environment(
    loader=PackageLoader("dashscope.local.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _digest_of_assets() -> str:
    assets = sorted(Path(__file__).with_name("assets").iterdir())
    return hashlib.sha256(b"".join(path.read_bytes() for path in assets)).hexdigest()[:12]


ASSETS_DIGEST: Final = _digest_of_assets()
"""Identifies the scripts and styles. It is part of their URLs, so that browsers can keep them."""

cast("dict[str, Any]", _TEMPLATES.globals).update(release=__version__, digest=ASSETS_DIGEST)
_TEMPLATES.filters.update(
    duration=format_duration, size=format_size, tojson_plain=format_json, as_json=json.dumps
)


def render(template: str, base: str, /, **context: Any) -> Markup:
    """Render a template below a base path."""
    text = _TEMPLATES.get_template(template).render(
        base_path=base, prefix=f"{base}{PREFIX}", **context
    )
    return Markup(text)  # noqa: S704


def macros(template: str, base: str) -> Any:
    """Return the macros of a template as an object, to call them often below one base path."""
    return _TEMPLATES.get_template(template).make_module(
        {"base_path": base, "prefix": f"{base}{PREFIX}"}
    )


def page(
    request: Request, template: str, status: int = HTTPStatus.OK, /, **context: Any
) -> HTMLResponse:
    """Render a template and return the page."""
    file = services(request).models_file if request.state.has_access else None
    html = render(
        template,
        base_path(request),
        models_problem=file.problem if file is not None else None,
        nonce=request.state.nonce,
        can_sign_out=request.state.can_sign_out,
        path=request.scope["path"].removeprefix(PREFIX),
        **context,
    )
    return HTMLResponse(html, status)


def problem_page(request: Request, problem: ProblemError) -> HTMLResponse:
    """Return the page for a problem."""
    title = HTTPStatus(problem.status).phrase
    answer = page(request, "problem.html", problem.status, title=title, detail=problem.detail)
    answer.headers.update(problem.headers)
    return answer
