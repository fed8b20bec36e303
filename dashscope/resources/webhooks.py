"""The secret that webhooks are signed with."""

from __future__ import annotations

from dashscope._api.resource import AsyncResource
from dashscope.types.webhook_secret import WebhookSecret

__all__ = [
    "AsyncDefaultWebhook",
    "AsyncWebhookSecretResource",
    "AsyncWebhooks",
    "WebhookSecret",
]


class AsyncWebhookSecretResource(AsyncResource):
    """`client.webhooks.default.secret`."""

    __slots__ = ()

    async def get(self) -> WebhookSecret:
        """Get the secret that webhooks to the default receiver are signed with.

        ```python
        secret = await client.webhooks.default.secret.get()
        ```

        Endpoint: `GET /webhooks/default/secret`.
        """
        return await self._get(WebhookSecret, "/webhooks/default/secret")


class AsyncDefaultWebhook(AsyncResource):
    """`client.webhooks.default`."""

    __slots__ = ()

    @property
    def secret(self) -> AsyncWebhookSecretResource:
        """The secret that webhooks are signed with."""
        return AsyncWebhookSecretResource(self._api)


class AsyncWebhooks(AsyncResource):
    """`client.webhooks`."""

    __slots__ = ()

    @property
    def default(self) -> AsyncDefaultWebhook:
        """The default webhook."""
        return AsyncDefaultWebhook(self._api)
