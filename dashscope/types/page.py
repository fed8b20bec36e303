"""A page of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, overload

from attrs import field, frozen

from dashscope._common.json import is_array
from dashscope.types import _notebook
from dashscope.types._repr import Summary
from dashscope.types._value import Serializable

T = TypeVar("T")


@frozen(kw_only=True, repr=False)
class Page(Serializable, Sequence[T], Generic[T]):
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

    @classmethod
    def _from_json(cls, value: dict[str, Any], arguments: tuple[Any, ...]) -> Self:
        item = arguments[0] if arguments else None
        results: Any = value.get("results")
        links = value.get("next"), value.get("previous")
        if not is_array(results):
            raise ValueError("results must be a list")
        if not all(isinstance(link, str | None) for link in links):
            raise ValueError("next and previous must be text or null")
        if isinstance(item, type) and issubclass(item, Serializable):
            results = [item._from_json(each, ()) for each in results]
        return cls(results=tuple(results), next=links[0], previous=links[1], raw=value)

    def _shown_fields(self) -> Iterator[tuple[str, Any]]:
        names = {type(item).__name__ for item in self.results}
        kind = names.pop() if len(names) == 1 else "items"
        yield "results", Summary(f"<{len(self)} {kind}>")
        yield "next", self.next
        yield "previous", self.previous

    def _repr_html_(self) -> str:
        more = ", and there are more" if self.next else ""
        return _notebook.listing(self.results, f"{len(self)} on this page{more}")
