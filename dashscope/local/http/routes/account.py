"""Routes for ``/account``, ``/hardware`` and ``/webhooks/default/secret``."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashscope.local.http.render import ACCOUNT
from dashscope.local.http.services import services
from dashscope.local.models.hardware import hardware


async def get_account(request: Request) -> JSONResponse:
    """Handle ``account.get``."""
    return JSONResponse(ACCOUNT)


async def list_hardware(request: Request) -> JSONResponse:
    """Handle ``hardware.list``."""
    return JSONResponse(await hardware())


async def get_webhook_secret(request: Request) -> JSONResponse:
    """Handle ``webhooks.default.secret.get``."""
    return JSONResponse({"key": services(request).webhook_secret})


ROUTES: Final = [
    Route("/account", get_account),
    Route("/hardware", list_hardware),
    Route("/webhooks/default/secret", get_webhook_secret),
]
