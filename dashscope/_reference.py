"""`Reference`: what names a model."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from dashscope._common.urls import path
from dashscope._common.validation import check_str, shown

_REFERENCE: Final = re.compile(r"([^\s/:]+)/([^\s/:]+)(?::([^\s/:]+))?")


@frozen
class Reference:
    """What names a model: `owner/name`, or `owner/name:version`."""

    owner: str
    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference.

        Raises:
            ValueError: when it is neither of the two forms.
        """
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            kind = ValueError if isinstance(text, str) else TypeError
            raise kind(
                f"{shown(text)} does not name a model: write owner/name or owner/name:version"
            )
        check_str("the name of a model", text)
        return cls(*match.groups())

    def __str__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"{self.owner}/{self.name}{version}"

    @property
    def path(self) -> str:
        """The endpoint that runs it."""
        if self.version is not None:
            return "/predictions"
        return path("/models/{owner}/{name}/predictions", owner=self.owner, name=self.name)
