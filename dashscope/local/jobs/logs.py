"""The log of a running job. Its size is bounded, and offsets stay valid when it is trimmed."""

from collections import deque
from typing import Final

LOG_LIMIT: Final = 1024 * 1024
"""Maximum characters of a log. Older text is dropped."""


class Log:
    """Append-only text that keeps its newest ``LOG_LIMIT`` characters."""

    def __init__(self) -> None:
        self._parts: deque[str] = deque()
        self._start = 0
        self._end = 0

    @property
    def end(self) -> int:
        """The number of characters written so far, including dropped ones."""
        return self._end

    def append(self, text: str) -> None:
        """Append text, and drop the oldest text above the limit."""
        self._parts.append(text)
        self._end += len(text)
        while self._end - self._start - len(self._parts[0]) >= LOG_LIMIT:
            self._start += len(self._parts.popleft())

    def since(self, offset: int) -> str:
        """Return the text written since an offset, without the text that was dropped."""
        wanted: list[str] = []
        start = self._end
        # Search from the end: a follower has usually read all but the last parts.
        for part in reversed(self._parts):
            if start <= offset:
                break
            start -= len(part)
            wanted.append(part)
        return "".join(reversed(wanted))[max(0, offset - start) :]

    @property
    def text(self) -> str:
        """The kept text. If text was dropped, the first line says how much."""
        text = self.since(0)
        if self._start:
            return f"[{self._start} earlier characters of this log were dropped]\n{text}"
        return text
