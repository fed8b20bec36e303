"""`Token`: the API token, which nothing shows, and texts without it."""

from __future__ import annotations

import re
import weakref
from typing import Final, Self

SHORTEST_SECRET: Final = 6
"""Characters; a shorter token is no secret, and would be found in every other word."""
HOW_TO_SET: Final = "Pass api_token=... or set DASHSCOPE_API_TOKEN."

_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")


class Token:
    """An API token that no repr, log line, error, pickle or traceback shows.

    Wherever it is handed on, it is as this: a traceback with variables shows what a plain text
    holds.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: object) -> None:
        self._value = value
        _tokens.add(self)

    @classmethod
    def given(cls, value: object) -> Self | None:
        """What a caller gave, as yet unchecked; `None` where nothing."""
        return None if value is None else cls(value)

    def __repr__(self) -> str:
        return "Token('***')"

    def __reduce__(self) -> str:
        raise TypeError("an API token is not pickled: make the client in the process that uses it")

    def problem(self) -> str | None:
        """What is wrong with it, as the end of a sentence, or `None`."""
        if not isinstance(self._value, str):
            return f"is a str, not {type(self._value).__name__}."
        if not self._value:
            return "is empty."
        if not _VISIBLE_ASCII.fullmatch(self._value):
            return (
                "has a space, a line break or a character beyond ASCII in it: "
                "it was probably copied with something around it."
            )
        return None

    def authorization(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self._value}"

    def scrub(self, text: str) -> str:
        """`text` without the token in it."""
        if not isinstance(self._value, str) or len(self._value) < SHORTEST_SECRET:
            return text
        return text.replace(self._value, "***")


_tokens: weakref.WeakSet[Token] = weakref.WeakSet()


def scrubbed(text: str) -> str:
    """`text` without any token of a client in it: what a server says may repeat one."""
    for token in list(_tokens):
        text = token.scrub(text)
    return text
