"""`NameCheck`: the names of the inputs of a batch, checked before the first create."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import APIError
from dashscope._functions.check import check_names
from dashscope._functions.schema import ModelSchema
from dashscope._functions.schema_cache import SchemaLoader


class NameCheck:
    """Checks that a model has the inputs that the rows of a batch name.

    The service ignores other names, so that a misspelled option would be ignored in each row. The
    first row loads the schema. If that fails, nothing is checked.

    Args:
        loader: Loads the schema of the model.
    """

    def __init__(self, loader: SchemaLoader) -> None:
        self._loader = loader
        self._schema: ModelSchema | None = None
        self._is_off = False
        self._accepted: frozenset[str] = frozenset()

    async def __call__(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the input of a row.

        Raises:
            TypeError: If the model has no input of a name.
        """
        if self._is_off or row.keys() <= self._accepted:
            return row
        if self._schema is None:
            self._schema = await self._load(fresh=False)
        if self._schema is None:
            return row
        try:
            check_names(self._schema, self._loader.ref, row)
        except TypeError:
            # A newer version of the model may have this input.
            newer = await self._load(fresh=True)
            if newer is None or newer is self._schema:
                raise
            self._schema = newer
            check_names(newer, self._loader.ref, row)
        self._accepted |= row.keys()
        return row

    async def _load(self, *, fresh: bool) -> ModelSchema | None:
        try:
            return await self._loader.load(Deadline.after(self._loader.timeout), fresh=fresh)
        except APIError as error:
            logger.info("the names of the inputs are not checked: %s", error)
            self._is_off = not fresh
            return None
