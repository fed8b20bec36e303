"""A pseudo-terminal that records its output."""

from __future__ import annotations

import os
import re
import threading


class Terminal:
    """A pseudo-terminal and its output."""

    def __init__(self) -> None:
        self._ours, self.end = os.openpty()
        self._data = b""
        self._closed = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def bytes(self) -> bytes:
        """The written bytes."""
        return self._data

    @property
    def drawn(self) -> str:
        """The written text, including control sequences."""
        return self._data.decode(errors="replace")

    @property
    def shown(self) -> str:
        """The written text without control sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.drawn)

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def close(self) -> None:
        """Close the terminal, and read everything that was written to it."""
        if self._closed:
            return
        self._closed = True
        os.close(self.end)
        self._thread.join()
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # Linux reports a closed terminal as an error
                return
            if not data:
                return
            self._data += data
