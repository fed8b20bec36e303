"""The deployments table, and their numbered releases."""

from typing import Any, Final

import attrs

from dashscope.local.store.database import Database
from dashscope.local.store.paging import PAGE_SIZE, Listing, Page, read_page
from dashscope.local.values import Deployment

_COLUMNS: Final = (
    "seq, name, created_at, number, model, version, hardware, min_instances, max_instances, "
    "released_at"
)
# A deployment with its newest release.
_SOURCE: Final = """(
    SELECT d.seq, d.name, d.created_at, r.number, r.model, r.version, r.hardware,
           r.min_instances, r.max_instances, r.released_at
    FROM deployment d JOIN release r ON r.deployment = d.seq
    WHERE r.number = (SELECT max(number) FROM release WHERE deployment = d.seq)
)"""
_DEPLOYMENTS: Final = Listing(columns=_COLUMNS, source=_SOURCE, make=Deployment)


class Deployments:
    """Deployments by name. The server's only account owns all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Deployment | None:
        """Return the deployment with this name."""
        sql = f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE name = ?"  # noqa: S608
        row = self._database.row(sql, name)
        return Deployment(**row) if row else None

    def page(self, cursor: str | None, size: int = PAGE_SIZE) -> Page[Deployment]:
        """Return a page of the deployments, newest first."""
        return read_page(self._database, _DEPLOYMENTS, "1", (), cursor, size)

    def create(self, name: str, at: str, release: dict[str, Any]) -> Deployment:
        """Insert a deployment with its first release."""
        with self._database.transaction():
            seq = self._database.insert("deployment", {"name": name, "created_at": at})
            values: dict[str, Any] = {"number": 1, "released_at": at, **release}
            self._database.insert("release", {"deployment": seq, **values})
        return Deployment(seq=seq, name=name, created_at=at, **values)

    def release(self, deployment: Deployment, at: str, changes: dict[str, Any]) -> Deployment:
        """Insert a release that differs from the current one by ``changes``."""
        changed = attrs.evolve(deployment, number=deployment.number + 1, released_at=at, **changes)
        values = attrs.asdict(changed)
        for name in ("seq", "name", "created_at"):
            del values[name]
        self._database.insert("release", {"deployment": deployment.seq, **values})
        return changed

    def uses(self, version_id: str) -> bool:
        """Return whether the current release of a deployment uses this version."""
        sql = f"SELECT 1 FROM {_SOURCE} WHERE version = ?"  # noqa: S608
        return self._database.row(sql, version_id) is not None

    def delete(self, deployment: Deployment) -> None:
        """Delete a deployment and its releases."""
        self._database.execute("DELETE FROM deployment WHERE seq = ?", (deployment.seq,))
