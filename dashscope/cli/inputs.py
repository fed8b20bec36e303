"""`KEY=VALUE` on the command line to a model's input.

`KEY=@FILE` is a file. A value that could be a number, a boolean or other JSON is read as what the
model's schema says the input is; without a schema, as what it looks like.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from dashscope import APIError, Client, Version
from dashscope._json import is_object


@frozen
class Pair:
    """An input as it was written."""

    key: str
    value: str

    @property
    def is_file(self) -> bool:
        """Is it `KEY=@FILE`?"""
        return self.value.startswith("@")

    def literal(self) -> Any:
        """The value as the JSON it looks like, else as text."""
        try:
            return json.loads(self.value, parse_constant=lambda _: self.value)
        except ValueError:
            return self.value


def parse_pair(text: str) -> Pair:
    """Read `KEY=VALUE`.

    Raises:
        click.BadParameter: when there is no key or no `=`.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return Pair(key, value)


def inputs_of(client: Client, ref: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """The input that the pairs make, its values typed by the model's schema."""
    keys = [pair.key for pair in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise click.UsageError(f"{key} is given {keys.count(key)} times")
    # Text that can be nothing else needs no schema, and so no request.
    ambiguous = any(not pair.is_file and not isinstance(pair.literal(), str) for pair in pairs)
    schema = _schema(client, ref) if ambiguous else {}
    return {pair.key: _value(pair, schema.get(pair.key)) for pair in pairs}


def _value(pair: Pair, schema: Any) -> Any:
    if pair.is_file:
        return Path(pair.value[1:])
    kind = schema.get("type") if is_object(schema) else None
    return pair.value if kind == "string" else pair.literal()


def _schema(client: Client, ref: str) -> dict[str, Any]:
    """What the model says of its inputs, by name; nothing where it says nothing."""
    owner, _, rest = ref.partition("/")
    name, _, version_id = rest.partition(":")
    try:
        if version_id:
            version: Version | None = client.models.versions.get(owner, name, version_id)
        else:
            version = client.models.get(owner, name).latest_version
    except (APIError, ValueError):
        return {}  # running the model says what is wrong with it
    found: Any = None if version is None else version.openapi_schema
    for step in ("components", "schemas", "Input", "properties"):
        found = found.get(step) if is_object(found) else None
    return found if is_object(found) else {}
