"""The account that the token belongs to."""

from __future__ import annotations

from dashscope._api.resource import AsyncResource
from dashscope.types.account import Account

__all__ = [
    "Account",
    "AsyncAccountResource",
]


class AsyncAccountResource(AsyncResource):
    """`client.account`."""

    __slots__ = ()

    async def get(self) -> Account:
        """Get the account that the token belongs to.

        ```python
        account = await client.account.get()
        print(account.username)
        ```

        Endpoint: `GET /account`.
        """
        return await self._get(Account, "/account")
