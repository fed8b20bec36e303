"""The secret that webhooks are signed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope._api.resource import AsyncResource


@frozen(kw_only=True)
class WebhookSecret:
    """The secret that webhooks are signed with.

    Attributes:
        key: the secret, `whsec_` and base64.
        raw: the JSON as received.
    """

    key: str = field(repr=False)
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


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
