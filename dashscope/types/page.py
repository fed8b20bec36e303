"""A page of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from attrs import field, frozen

from dashscope.types import _notebook

T = TypeVar("T")


@frozen(kw_only=True)
class Page(Sequence[T], Generic[T]):
    """A page of a list: a sequence of its results.

    Attributes:
        results: The items.
        next: The URL of the next page, or `None` on the last page. Pass it as `cursor`.
        previous: The URL of the previous page, or `None` on the first page.
        raw: The JSON as received.
    """

    results: tuple[T, ...]
    next: str | None = None
    previous: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.results[index]

    def _repr_html_(self) -> str:
        more = ", and there are more" if self.next else ""
        return _notebook.listing(self.results, f"{len(self)} on this page{more}")
