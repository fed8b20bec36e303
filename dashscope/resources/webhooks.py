"""The secret that signs webhooks."""

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
    """The signing secret: `client.webhooks.default.secret`."""

    __slots__ = ()

    async def get(self) -> WebhookSecret:
        """Get the secret that signs webhooks to the default receiver.

        Returns:
            The secret. Pass its `key` to `dashscope.webhooks.verify()`.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            secret = await client.webhooks.default.secret.get()
            ```

        Endpoint: `GET /webhooks/default/secret`.
        """
        return await self._get(WebhookSecret, "/webhooks/default/secret")


class AsyncDefaultWebhook(AsyncResource):
    """The default webhook: `client.webhooks.default`."""

    __slots__ = ()

    @property
    def secret(self) -> AsyncWebhookSecretResource:
        """The secret that signs webhooks."""
        return AsyncWebhookSecretResource(self._api)


class AsyncWebhooks(AsyncResource):
    """Webhooks: `client.webhooks`."""

    __slots__ = ()

    @property
    def default(self) -> AsyncDefaultWebhook:
        """The default webhook."""
        return AsyncDefaultWebhook(self._api)
