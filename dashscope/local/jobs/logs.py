"""A job's log as it grows, bounded: the newest part is kept, and offsets into it last."""

from collections import deque
from typing import Final

LOG_LIMIT: Final = 1024 * 1024
"""Characters kept of a log; beyond, the oldest go."""


class Log:
    """Text that is only appended to."""

    def __init__(self) -> None:
        self._parts: deque[str] = deque()
        self._start = 0
        self._end = 0

    @property
    def end(self) -> int:
        """How many characters were ever written."""
        return self._end

    def append(self, text: str) -> None:
        """Add to the end, and drop from the start what is over the limit."""
        self._parts.append(text)
        self._end += len(text)
        while self._end - self._start - len(self._parts[0]) >= LOG_LIMIT:
            self._start += len(self._parts.popleft())

    def since(self, offset: int) -> str:
        """Return what was written from an offset on, as far as it is kept."""
        wanted: list[str] = []
        start = self._end
        # From the end: who follows a log has read all but its last parts.
        for part in reversed(self._parts):
            if start <= offset:
                break
            start -= len(part)
            wanted.append(part)
        return "".join(reversed(wanted))[max(0, offset - start) :]

    @property
    def text(self) -> str:
        """What is kept, after a line that says how much is not."""
        text = self.since(0)
        if self._start:
            return f"[{self._start} earlier characters of this log were dropped]\n{text}"
        return text
