"""`Token`: the API token, which is never shown, and texts without it."""

from __future__ import annotations

import re
from typing import Final, Self

SHORTEST_SECRET: Final = 6
"""The shortest token, in characters, that is removed from texts. Shorter ones occur in other words.
"""
HOW_TO_SET: Final = "Pass api_token=... or set DASHSCOPE_API_TOKEN."

_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")


class Token:
    """An API token that no repr, log line, error, pickle or traceback shows.

    The token is passed on only as a `Token`, because tracebacks that show variables show plain
    text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    @classmethod
    def given(cls, value: object) -> Self | None:
        """Return the token that a caller passed, unchecked, or `None`."""
        return None if value is None else cls(value)

    def __repr__(self) -> str:
        return "Token('***')"

    def __reduce__(self) -> str:
        raise TypeError(
            "API tokens cannot be pickled: create the client in the process that uses it"
        )

    def problem(self) -> str | None:
        """Return what is wrong with the token, as the end of a sentence, or `None`."""
        if not isinstance(self._value, str):
            return f"must be a str, not {type(self._value).__name__}."
        if not self._value:
            return "is empty."
        if not _VISIBLE_ASCII.fullmatch(self._value):
            return (
                "contains a space, a line break or a non-ASCII character. "
                "It was probably copied with surrounding text."
            )
        return None

    def authorization(self) -> str:
        """Return the value of the `Authorization` header."""
        return f"Bearer {self._value}"

    def scrub(self, text: str) -> str:
        """Return `text` with the token replaced."""
        if not isinstance(self._value, str) or len(self._value) < SHORTEST_SECRET:
            return text
        return text.replace(self._value, "***")


def scrub(text: str, token: Token | None) -> str:
    """Return `text` with a token replaced: what a server sends may repeat the token."""
    return text if token is None else token.scrub(text)
