"""The outbox of webhooks: one row per pending delivery."""

from attrs import frozen

from dashscope.local.store.database import Database
from dashscope.local.values import new_id


@frozen(kw_only=True)
class Delivery:
    """A webhook request that has not been accepted yet."""

    seq: int
    id: str
    job: str
    event: str
    url: str
    body: str
    attempts: int


class Deliveries:
    """Pending deliveries, ordered per job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: str, event: str, url: str, body: str, message_id: str | None = None) -> None:
        """Insert a delivery, in the transaction of the event it reports."""
        message_id = message_id or f"msg_{new_id()}"
        self._database.insert(
            "delivery", {"id": message_id, "job": job, "event": event, "url": url, "body": body}
        )

    def is_pending(self, message_id: str) -> bool:
        """Return whether a delivery with this id has not been accepted yet."""
        return self._database.row("SELECT 1 FROM delivery WHERE id = ?", message_id) is not None

    def drop_progress(self, job: str, in_flight: int) -> None:
        """Delete the ``output`` and ``logs`` deliveries of a job, except the one in flight."""
        self._database.execute(
            "DELETE FROM delivery WHERE job = ? AND seq != ? AND event IN ('output', 'logs')",
            (job, in_flight),
        )

    def next_of(self, job: str) -> Delivery | None:
        """Return the next delivery of a job."""
        row = self._database.row("SELECT * FROM delivery WHERE job = ? ORDER BY seq LIMIT 1", job)
        return Delivery(**row) if row else None

    def of_job(self, job: str, limit: int) -> list[Delivery]:
        """Return the oldest pending deliveries of a job, without their bodies."""
        return self._read("WHERE job = ? ORDER BY seq LIMIT ?", job, limit)

    def waiting(self, limit: int) -> list[Delivery]:
        """Return the oldest pending deliveries, without their bodies."""
        return self._read("ORDER BY seq LIMIT ?", limit)

    def _read(self, which: str, *parameters: str | int) -> list[Delivery]:
        # The body may be long, and only the receiver needs it.
        columns = "seq, id, job, event, url, '' AS body, attempts"
        sql = f"SELECT {columns} FROM delivery {which}"  # noqa: S608
        return [Delivery(**row) for row in self._database.rows(sql, *parameters)]

    def jobs(self) -> list[str]:
        """Return the jobs with pending deliveries, oldest delivery first."""
        rows = self._database.rows("SELECT job, min(seq) AS first FROM delivery GROUP BY job")
        return [row["job"] for row in sorted(rows, key=lambda row: row["first"])]

    def count_attempt(self, delivery: Delivery) -> None:
        """Count a failed attempt."""
        self._database.update("delivery", delivery.seq, {"attempts": delivery.attempts + 1})

    def delete(self, delivery: Delivery) -> None:
        """Delete a delivery that was accepted or given up."""
        self._database.execute("DELETE FROM delivery WHERE seq = ?", (delivery.seq,))
