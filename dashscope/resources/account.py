"""The account that the token belongs to."""

from __future__ import annotations

from dashscope._api.resource import AsyncResource
from dashscope.types.account import Account

__all__ = [
    "Account",
    "AsyncAccountResource",
]


class AsyncAccountResource(AsyncResource):
    """The account: `client.account`."""

    __slots__ = ()

    async def get(self) -> Account:
        """Get the account that the token belongs to.

        Returns:
            The account.

        Raises:
            AuthenticationError: If the token is missing or invalid.

        Example:
            ```python
            account = await client.account.get()
            print(account.username)
            ```

        Endpoint: `GET /account`.
        """
        return await self._get(Account, "/account")
