"""The jobs table: predictions, trainings and examples."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import attrs
from attrs import frozen

from dashscope.local.store.database import Database
from dashscope.local.store.paging import PAGE_SIZE, Listing, Page, read_page
from dashscope.local.values import Job

LISTED_LIMIT: Final = 16 * 1024
"""Maximum characters of JSON of an input or output in a list. Longer ones are omitted."""

OMITTED: Final = ""
"""The input or output of a job in a list if it is longer than ``LISTED_LIMIT``."""

_LISTED: Final = {
    "logs": "''",
    "input": f"CASE WHEN length(input) <= {LISTED_LIMIT} THEN input ELSE '{OMITTED}' END",
    "output": f"CASE WHEN length(output) > {LISTED_LIMIT} THEN '{OMITTED}' ELSE output END",
}
_JOBS: Final = Listing(
    columns=", ".join(
        f"{_LISTED[field.name]} AS {field.name}" if field.name in _LISTED else field.name
        for field in attrs.fields(Job)
    ),
    source="job",
    make=Job,
)

OVERVIEW_CHARACTERS: Final = 10_000
"""Maximum characters of an output in an overview. Longer outputs are omitted."""

_OMITTED: Final = {
    "logs": "''",
    "input": "CASE WHEN length(input) <= 2000 THEN input ELSE '{}' END",
    "output": f"CASE WHEN length(output) <= {OVERVIEW_CHARACTERS} THEN output END",
}
_OVERVIEW: Final = Listing(
    columns=", ".join(
        f"{_OMITTED[field.name]} AS {field.name}" if field.name in _OMITTED else field.name
        for field in attrs.fields(Job)
    ),
    source="job",
    make=Job,
)

SEARCHED: Final = 20_000
"""Number of jobs that a search reads, newest first."""


@frozen(kw_only=True)
class JobFilter:
    """Selects the jobs of an overview. Members that are None or empty select all jobs."""

    kind: str = "prediction"
    model: str | None = None
    version: str | None = None
    deployment: str | None = None
    statuses: tuple[str, ...] = ()
    created_after: str | None = None
    text: str = ""

    def condition(self) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL condition and its parameters."""
        where = "kind = ? AND example = 0"
        parameters: tuple[Any, ...] = (self.kind,)
        for condition, value in (
            ("model = ?", self.model),
            ("version = ?", self.version),
            ("deployment = ?", self.deployment),
            ("created_at >= ?", self.created_after),
        ):
            if value is not None:
                where += f" AND {condition}"
                parameters += (value,)
        if self.statuses:
            where += f" AND status IN ({', '.join('?' * len(self.statuses))})"
            parameters += self.statuses
        if self.text:
            # A text that is in no job must not make the search read the whole table.
            where += " AND seq > (SELECT max(seq) FROM job) - ? AND ("
            where += " OR ".join(f"{name} LIKE ? ESCAPE '!'" for name in _SEARCHABLE) + ")"
            # In the JSON of an input, quotes and special characters are escaped.
            forms = [self.text] * (len(_SEARCHABLE) - 1) + [json.dumps(self.text)[1:-1]]
            parameters += (SEARCHED,)
            parameters += tuple("%" + re.sub("([!%_])", r"!\1", form) + "%" for form in forms)
        return where, parameters


_SEARCHABLE: Final = (
    "id",
    "model",
    "coalesce(destination, '')",
    "coalesce(error, '')",
    "CASE WHEN length(input) <= 16384 THEN input ELSE '' END",
)


class Jobs:
    """Predictions and trainings. Lists are ordered newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str, kind: str) -> Job | None:
        """Return the prediction or training with this id."""
        row = self._database.row("SELECT * FROM job WHERE id = ? AND kind = ?", job_id, kind)
        return Job(**row) if row else None

    def create(self, values: dict[str, Any]) -> Job:
        """Insert a job, and return it."""
        seq = self._database.insert("job", values)
        row = self._database.row("SELECT * FROM job WHERE seq = ?", seq)
        if row is None:
            raise LookupError(f"job {seq} was deleted")
        return Job(**row)

    def update(self, job: Job, values: dict[str, Any]) -> Job:
        """Update a job, and return the updated job."""
        self._database.update("job", job.seq, values)
        return attrs.evolve(job, **values)

    def page(
        self,
        kind: str,
        cursor: str | None,
        *,
        created_after: str | None = None,
        created_before: str | None = None,
        source: str | None = None,
    ) -> Page[Job]:
        """Return a page of predictions or trainings."""
        where = "kind = ? AND example = 0"
        parameters: tuple[str, ...] = (kind,)
        for condition, value in (
            ("created_at >= ?", created_after),
            ("created_at < ?", created_before),
            ("source = ?", source),
        ):
            if value is not None:
                where += f" AND {condition}"
                parameters += (value,)
        return read_page(self._database, _JOBS, where, parameters, cursor)

    def overview(
        self, selected: JobFilter, cursor: str | None = None, size: int = PAGE_SIZE
    ) -> Page[Job]:
        """Return a page of predictions or trainings without logs, long inputs and long outputs."""
        where, parameters = selected.condition()
        return read_page(self._database, _OVERVIEW, where, parameters, cursor, size)

    def kinds(self, job_ids: Iterable[str]) -> dict[str, str]:
        """Return the kind of each job id, prediction or training."""
        rows = self._database.rows(
            "SELECT id, kind FROM job WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(job_ids)),
        )
        return {row["id"]: row["kind"] for row in rows}

    def unfinished_counts(self, kind: str) -> dict[str, int]:
        """Return the number of unfinished jobs per status."""
        rows = self._database.rows(
            "SELECT status, count(*) AS count FROM job "
            "WHERE completed_at IS NULL AND kind = ? GROUP BY status",
            kind,
        )
        return {row["status"]: row["count"] for row in rows}

    def examples(self, full_name: str, cursor: str | None) -> Page[Job]:
        """Return a page of a model's examples."""
        where = "kind = 'prediction' AND example = 1 AND model = ?"
        return read_page(self._database, _JOBS, where, (full_name,), cursor)

    def first_example(self, full_name: str) -> Job | None:
        """Return the default example of a model."""
        row = self._database.row(
            "SELECT * FROM job WHERE kind = 'prediction' AND example = 1 AND model = ? "
            "ORDER BY seq LIMIT 1",
            full_name,
        )
        return Job(**row) if row else None

    def unfinished(self) -> list[Job]:
        """Return the unfinished jobs, oldest first."""
        rows = self._database.rows("SELECT * FROM job WHERE completed_at IS NULL ORDER BY seq")
        return [Job(**row) for row in rows]

    def of_version(self, version_id: str) -> list[Job]:
        """Return all jobs of a version."""
        rows = self._database.rows("SELECT * FROM job WHERE version = ?", version_id)
        return [Job(**row) for row in rows]

    def replace_examples(self, full_name: str, examples: list[dict[str, Any]]) -> None:
        """Replace the examples of a model."""
        with self._database.transaction():
            self._database.execute(
                "DELETE FROM job WHERE example = 1 AND kind = 'prediction' AND model = ?",
                (full_name,),
            )
            for values in examples:
                self._database.insert("job", values)

    def delete(self, job: Job) -> None:
        """Delete a job."""
        self._database.execute("DELETE FROM job WHERE seq = ?", (job.seq,))

    def remove_data(self, job_id: str) -> None:
        """Remove the input, output and logs of a finished job."""
        self._database.execute(
            "UPDATE job SET data_removed = 1, input = '{}', output = NULL, logs = '' WHERE id = ?",
            (job_id,),
        )
