"""Decompression within bounds: a body as it came in, the same as it is meant out.

httpx decompresses all that a piece holds at once, by however many codings the server names: a
few kilobytes can become gigabytes. We ask for `gzip` and `deflate`, take one of them, and hand
the result on in pieces of bounded size.
"""

from __future__ import annotations

import zlib
from typing import Final

from dashscope._errors import APIResponseError
from dashscope._transport.bodies import Body
from dashscope._transport.mapping import ACCEPTED_ENCODINGS

PIECE: Final = 1024 * 1024
"""Bytes that are decompressed, and held in memory, at a time."""

_GZIP: Final = zlib.MAX_WBITS | 16
_PLAIN: Final = frozenset({"", "identity"})
_CODINGS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def decoded(body: Body) -> Body:
    """The body, decompressed where its headers say that it is compressed."""
    named = body.headers.get("content-encoding", "").strip()
    if named.lower() in _PLAIN:
        return body
    return _DecodedBody(body, named)


class _DecodedBody(Body):
    def __init__(self, body: Body, named: str) -> None:
        super().__init__(body.status, body.headers, body.asked)
        self.left_open = body.left_open
        self._body = body
        self._named = named
        self._wbits = _CODINGS.get(named.lower())
        self._packed = b""
        self._started = False
        self._decompressor = zlib.decompressobj(self._wbits or _GZIP)

    async def chunk(self) -> bytes | None:
        if self._wbits is None:
            raise APIResponseError(
                f"The response has the encoding {self._named!r} instead of {ACCEPTED_ENCODINGS}: "
                f"{self.asked}."
            )
        while True:
            if self._is_next_known() and (piece := self._unpack()):
                return piece
            if not self._is_next_known():
                packed = await self._body.chunk()
                if packed is None:
                    break
                self._packed += packed
        if self._packed or (self._started and not self._decompressor.eof):
            raise self._broken("it ends too soon")
        return None

    async def aclose(self) -> None:
        await self._body.aclose()

    def _is_next_known(self) -> bool:
        """Return whether there is enough input to continue."""
        if self._decompressor.eof:
            self._packed = self._packed.lstrip(b"\0")  # padding to the size of a block
        # Only the second byte shows whether `deflate` data has its header.
        least = 2 if self._wbits == zlib.MAX_WBITS and not self._started else 1
        return len(self._packed) >= least

    def _unpack(self) -> bytes:
        """Decompress one piece. The unused input stays for the next piece."""
        if self._decompressor.eof:  # the next member
            self._decompressor = zlib.decompressobj(self._wbits or _GZIP)
        try:
            piece = self._decompressor.decompress(self._packed, PIECE)
        except zlib.error as error:
            if self._started or self._wbits == _GZIP:
                raise self._broken(str(error)) from None
            # Some servers omit the header of `deflate` data.
            self._wbits = -zlib.MAX_WBITS
            self._decompressor = zlib.decompressobj(self._wbits)
            self._started = True
            return self._unpack()
        self._started = True
        self._packed = self._decompressor.unconsumed_tail or self._decompressor.unused_data
        return piece

    def _broken(self, reason: str) -> APIResponseError:
        return APIResponseError(f"The response cannot be decompressed ({reason}): {self.asked}.")
