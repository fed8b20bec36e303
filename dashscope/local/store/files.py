"""The files table. The content of a file is in the data folder, named by the file's id."""

from typing import Any, Final

from dashscope.local.store.database import Database
from dashscope.local.store.paging import PAGE_SIZE, Listing, Page, read_page
from dashscope.local.values import File

_FILES: Final = Listing(columns="*", source="file", make=File)


class Files:
    """Uploaded files and the output files of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, file_id: str, at: str) -> File | None:
        """Return the file with this id, unless it has expired at a time."""
        row = self._database.row("SELECT * FROM file WHERE id = ? AND expires_at > ?", file_id, at)
        return File(**row) if row else None

    def create(self, values: dict[str, Any]) -> File:
        """Insert a file, and return it."""
        seq = self._database.insert("file", values)
        row = self._database.row("SELECT * FROM file WHERE seq = ?", seq)
        if row is None:
            raise LookupError(f"file {seq} was deleted")
        return File(**row)

    def page(self, cursor: str | None, at: str, size: int = PAGE_SIZE) -> Page[File]:
        """Return a page of the uploaded files, newest first."""
        where = "job IS NULL AND expires_at > ?"
        return read_page(self._database, _FILES, where, (at,), cursor, size)

    def of_job(self, job_id: str) -> list[File]:
        """Return the output files of a job."""
        return [
            File(**row) for row in self._database.rows("SELECT * FROM file WHERE job = ?", job_id)
        ]

    def expired(self, at: str) -> list[File]:
        """Return the files that have expired at a time."""
        rows = self._database.rows("SELECT * FROM file WHERE expires_at <= ?", at)
        return [File(**row) for row in rows]

    def known(self) -> set[str]:
        """Return the ids of all files."""
        return {row["id"] for row in self._database.rows("SELECT id FROM file")}

    def delete(self, file: File) -> None:
        """Delete a file's row."""
        self._database.execute("DELETE FROM file WHERE seq = ?", (file.seq,))
