"""The encoder of webhooks: a row for each delivery still to be made."""

from attrs import frozen

from dashscope.local.store.database import Database
from dashscope.local.values import new_id


@frozen(kw_only=True)
class Delivery:
    """One webhook request that has not been accepted yet."""

    seq: int
    id: str
    job: str
    event: str
    url: str
    body: str
    attempts: int


class Deliveries:
    """Deliveries in the order they have to be made, job by job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: str, event: str, url: str, body: str) -> None:
        """Insert a delivery; in the transaction of what it tells of."""
        self._database.insert(
            "delivery",
            {"id": f"msg_{new_id()}", "job": job, "event": event, "url": url, "body": body},
        )

    def drop_progress(self, job: str, in_flight: int) -> None:
        """Delete what tells of a job's output or logs, and is not being sent just now."""
        self._database.execute(
            "DELETE FROM delivery WHERE job = ? AND seq != ? AND event IN ('output', 'logs')",
            (job, in_flight),
        )

    def next_of(self, job: str) -> Delivery | None:
        """Return the delivery of a job that comes next."""
        row = self._database.row("SELECT * FROM delivery WHERE job = ? ORDER BY seq LIMIT 1", job)
        return Delivery(**row) if row else None

    def of_job(self, job: str) -> list[Delivery]:
        """Return what is still to be delivered for a job."""
        return self._read("WHERE job = ? ORDER BY seq LIMIT 100", job)

    def waiting(self) -> list[Delivery]:
        """Return what is still to be delivered, the oldest first and not all of a flood."""
        return self._read("ORDER BY seq LIMIT 100")

    def _read(self, which: str, *parameters: str) -> list[Delivery]:
        # Without the body, which may be long and is for the receiver alone.
        columns = "seq, id, job, event, url, '' AS body, attempts"
        sql = f"SELECT {columns} FROM delivery {which}"  # noqa: S608
        return [Delivery(**row) for row in self._database.rows(sql, *parameters)]

    def jobs(self) -> list[str]:
        """Return the jobs that have deliveries to make."""
        rows = self._database.rows("SELECT job, min(seq) AS first FROM delivery GROUP BY job")
        return [row["job"] for row in sorted(rows, key=lambda row: row["first"])]

    def count_attempt(self, delivery: Delivery) -> None:
        """Count one more attempt that failed."""
        self._database.update("delivery", delivery.seq, {"attempts": delivery.attempts + 1})

    def delete(self, delivery: Delivery) -> None:
        """Delete a delivery that was made or given up."""
        self._database.execute("DELETE FROM delivery WHERE seq = ?", (delivery.seq,))
