"""The models and versions tables."""

from typing import Any, Final, Literal

import attrs

from dashscope.local.store.database import Database
from dashscope.local.store.paging import PAGE_SIZE, Listing, Page, read_page
from dashscope.local.values import Model, Version

SortKey = Literal["model_created_at", "latest_version_created_at"]

_LATEST_CREATED: Final = (
    "coalesce((SELECT v.created_at FROM version v WHERE v.id = model.latest), '')"
)
_KEYS: Final[dict[SortKey, str]] = {
    "model_created_at": "created_at",
    "latest_version_created_at": _LATEST_CREATED,
}
_VERSIONS: Final = Listing(columns="*", source="version", make=Version)


class Models:
    """Models by owner and name, and versions by id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, full_name: str) -> Model | None:
        """Return the model named ``owner/name``."""
        owner, _, name = full_name.partition("/")
        row = self._database.row("SELECT * FROM model WHERE owner = ? AND name = ?", owner, name)
        return Model(**row) if row else None

    def all(self) -> list[Model]:
        """Return all models, oldest first."""
        return [Model(**row) for row in self._database.rows("SELECT * FROM model ORDER BY seq")]

    def page(self, cursor: str | None, sort_by: SortKey, *, descending: bool) -> Page[Model]:
        """Return a page of the public models."""
        listing = Listing(
            columns="*", source="model", make=Model, key=_KEYS[sort_by], descending=descending
        )
        return read_page(self._database, listing, "visibility = 'public'", (), cursor)

    def page_by_age(self, cursor: str | None, size: int) -> Page[Model]:
        """Return a page of all models, newest first."""
        listing = Listing(columns="*", source="model", make=Model)
        return read_page(self._database, listing, "1", (), cursor, size)

    def create(self, full_name: str, values: dict[str, Any]) -> None:
        """Insert a model."""
        owner, _, name = full_name.partition("/")
        self._database.insert("model", {"owner": owner, "name": name, **values})

    def update(self, model: Model, values: dict[str, Any]) -> Model:
        """Update a model, and return the updated model."""
        if values:
            self._database.update("model", model.seq, values)
        return attrs.evolve(model, **values)

    def count_run(self, full_name: str) -> None:
        """Increment the run count of a model."""
        owner, _, name = full_name.partition("/")
        self._database.execute(
            "UPDATE model SET run_count = run_count + 1 WHERE owner = ? AND name = ?", (owner, name)
        )

    def delete(self, model: Model) -> None:
        """Delete a model without versions."""
        self._database.execute("DELETE FROM model WHERE seq = ?", (model.seq,))

    def version(self, version_id: str) -> Version | None:
        """Return the version with this id."""
        row = self._database.row("SELECT * FROM version WHERE id = ?", version_id)
        return Version(**row) if row else None

    def versions(self, full_name: str, cursor: str | None, size: int = PAGE_SIZE) -> Page[Version]:
        """Return a page of a model's versions, newest first."""
        return read_page(self._database, _VERSIONS, "model = ?", (full_name,), cursor, size)

    def has_versions(self, full_name: str) -> bool:
        """Return whether a model has any version."""
        return self._database.row("SELECT 1 FROM version WHERE model = ?", full_name) is not None

    def add_version(self, values: dict[str, Any]) -> None:
        """Insert a version if it is new, and make it the model's latest version."""
        with self._database.transaction():
            if self.version(values["id"]) is None:
                self._database.insert("version", values)
            self._set_latest(values["model"], values["id"])

    def delete_version(self, version: Version) -> None:
        """Delete a version. The newest remaining version becomes the latest."""
        with self._database.transaction():
            self._database.execute("DELETE FROM version WHERE seq = ?", (version.seq,))
            model = self.get(version.model)
            if model is not None and model.latest == version.id:
                newest = self._database.row(
                    "SELECT id FROM version WHERE model = ? ORDER BY seq DESC LIMIT 1",
                    version.model,
                )
                self._set_latest(version.model, newest["id"] if newest else None)

    def trained_from(self, version_id: str) -> bool:
        """Return whether another version was trained from this version."""
        return self._database.row("SELECT 1 FROM version WHERE base = ?", version_id) is not None

    def _set_latest(self, full_name: str, version_id: str | None) -> None:
        owner, _, name = full_name.partition("/")
        self._database.execute(
            "UPDATE model SET latest = ? WHERE owner = ? AND name = ?", (version_id, owner, name)
        )
