"""The hardware that models can run on."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope._api.decoding import structure_list
from dashscope._api.requestor import Call
from dashscope._api.resource import AsyncResource


@frozen(kw_only=True)
class Hardware:
    """A kind of hardware.

    Attributes:
        sku: its name in requests, such as `cpu`.
        name: its name for people.
        raw: the JSON as received.
    """

    sku: str
    name: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


class AsyncHardwareResource(AsyncResource):
    """`client.hardware`."""

    __slots__ = ()

    async def list(self) -> builtins.list[Hardware]:
        """List the hardware that models can run on.

        ```python
        for hardware in await client.hardware.list():
            print(hardware.sku, hardware.name)
        ```

        Endpoint: `GET /hardware`.
        """
        return structure_list(await self._api.send(Call(method="GET", path="/hardware")), Hardware)
