"""The hardware that models can run on."""

from __future__ import annotations

import builtins

from dashscope._api.decoding import structure_list
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource
from dashscope.types.hardware import Hardware

__all__ = [
    "AsyncHardwareResource",
    "Hardware",
]


class AsyncHardwareResource(AsyncResource):
    """Hardware that models can run on: `client.hardware`."""

    __slots__ = ()

    async def list(self) -> builtins.list[Hardware]:
        """List the hardware that models can run on.

        Returns:
            The hardware, in a list without pages.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            for hardware in await client.hardware.list():
                print(hardware.sku, hardware.name)
            ```

        Endpoint: `GET /hardware`.
        """
        return structure_list(await self._api.send(Call(method="GET", path="/hardware")), Hardware)
