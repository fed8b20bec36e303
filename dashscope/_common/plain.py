"""Values of other libraries as plain Python values, found by their methods and not by imports.

NumPy, pandas, pydantic and others are never imported here, and need not be installed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from dashscope._common.json import is_array

UNCHANGED: Final[Any] = object()
"""Returned for a value that is plain already or has no plain form."""


def plain(value: Any) -> Any:
    """Return the plain form of a value: a scalar, a list or a mapping of values.

    Only the value itself is converted, not the values inside. An iterator is read to its end.

    Args:
        value: A NumPy scalar or array, a pandas or Polars series, a pandas `Timestamp`, `NaT` or
            `NA`, a `Decimal`, `UUID`, `date`, `datetime`, `Enum`, set or iterator, a pydantic
            model, a dataclass or an attrs object.

    Returns:
        The plain form, or `UNCHANGED`.
    """
    found: Any = value  # `isinstance()` would make it partially unknown to type checkers
    if isinstance(value, Enum):
        return found.value
    if isinstance(value, date | time):
        return None if _is_missing(value) else found.isoformat()  # NaT is a datetime
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, AbstractSet):
        return sorted(found, key=_sort_key)
    if isinstance(value, Iterator):
        return list(found)
    if type(found).__name__ == "NAType":
        return None
    if (array := _array(value)) is not UNCHANGED:
        return array
    return UNCHANGED if isinstance(value, Mapping | tuple) else fields_of(value)


def is_iterator(value: object) -> bool:
    """Return whether a value can be read only once."""
    return isinstance(value, Iterator)


def fields_of(value: Any) -> Any:
    """Return an object with named fields as a mapping, or `UNCHANGED`.

    Args:
        value: A pydantic model, a dataclass, an attrs object, a named tuple, or a series or scalar
            with named fields, such as a row of pandas or Arrow.
    """
    cls: Any = value.__class__
    if issubclass(cls, type):
        return UNCHANGED
    attributes: Any = getattr(cls, "__attrs_attrs__", ())
    if hasattr(cls, "__dataclass_fields__"):
        attributes = dataclasses.fields(cls)
    if attributes:
        return {attribute.name: getattr(value, attribute.name) for attribute in attributes}
    for name in ("model_dump", "_asdict", "as_py"):
        if callable(convert := getattr(value, name, None)):
            fields: Any = convert()
            if cls.__name__ != "Pandas":
                return fields
            fields.pop("Index", None)  # `DataFrame.itertuples()` adds it
            return without_missing(fields)
    if hasattr(value, "dtype") and hasattr(value, "index"):  # a row of `DataFrame.iterrows()`
        return without_missing(value.to_dict()) if hasattr(value, "to_dict") else UNCHANGED
    return UNCHANGED


def _array(value: Any) -> Any:
    """Return an array, a series or a scalar of NumPy, pandas, Polars, torch or Arrow."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        if getattr(dtype, "kind", "") == "M":  # nanoseconds would become integers
            texts: Any = value.astype(str)
            found = texts.tolist() if hasattr(texts, "tolist") else str(texts)
            return _without_nat(found)
        for name in ("tolist", "to_list"):
            if callable(convert := getattr(value, name, None)):
                return convert()
    for name in ("as_py", "to_pylist"):
        if callable(convert := getattr(value, name, None)):
            return convert()
    return UNCHANGED


def _without_nat(value: Any) -> Any:
    if is_array(value):
        return [_without_nat(item) for item in value]
    return None if value == "NaT" else value


def without_missing(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a row of a table without its missing values."""
    return {name: cell for name, cell in row.items() if not is_missing(cell)}


def is_missing(value: Any) -> bool:
    """Return whether a cell of a table has no value: `None`, NaN, `NaT` or `NA`."""
    return value is None or type(value).__name__ == "NAType" or _is_missing(value)


def _is_missing(value: Any) -> bool:
    # NaN and NaT are the only scalars that differ from themselves.
    is_scalar = isinstance(value, float | date | Decimal) or getattr(value, "ndim", None) == 0
    return is_scalar and bool(value != value)


def _number(value: Decimal) -> int | float:
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


def _sort_key(value: Any) -> str:
    """Return the JSON of a value, so that a set has the same order in every process."""

    def default(item: Any) -> Any:
        found = plain(item)
        return str(item) if found is UNCHANGED else found

    return json.dumps(value, sort_keys=True, default=default)
