"""Jobs in the store: what was asked, by whom, and what came of it, so that nothing is lost when the server dies."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from zeroconv.database import Database, Row
from zeroconv.service.failure import Failure, MissingError

__all__ = ["Job", "JobStore"]


@dataclass(frozen=True)
class Job:
    """A job as it stands in the store.

    Attributes:
        id: its name in every route.
        client: who sent it.
        state: "queued", "running", "done", "failed" or "cancelled".
        created: seconds since 1970.
        attempts: how often it was begun.
        request: a `GenerationRequest` as plain values; its pictures are in the store.
        results: for each picture that is done.
        messages: what was told.
        error: why it failed.
    """

    id: str
    client: str
    state: str
    created: float
    attempts: int
    request: dict[str, Any]
    results: list[dict[str, Any]]
    messages: list[dict[str, str]]
    error: dict[str, Any] | None

    @classmethod
    def of_row(cls, row: Row) -> "Job":
        """From its row."""
        plain = {name: row[name] for name in ("id", "client", "state", "created", "attempts")}
        lists = {name: json.loads(row[name]) for name in ("request", "results", "messages")}
        return cls(**plain, **lists, error=row["error"] and json.loads(row["error"]))


class JobStore:
    """The jobs of a service.

    Args:
        database: of the schema `SERVICE`.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, client: str, request: dict[str, Any]) -> Job:
        """A new job, queued.

        Raises:
            OSError: when it cannot be kept.
        """
        name, created = secrets.token_hex(12), time.time()
        with self.database.write() as change:
            values = (name, client, "queued", created, json.dumps(request, allow_nan=False))
            change.execute("INSERT INTO job (id, client, state, created, request) VALUES (?, ?, ?, ?, ?)", values)
        return Job(name, client, "queued", created, 0, request, [], [], None)

    def get(self, job: str) -> Job:
        """A job.

        Raises:
            MissingError: there is none.
        """
        rows = self.database.read("SELECT * FROM job WHERE id = ?", job)
        if not rows:
            raise MissingError(f"there is no generation {job[:64]!r} here")
        return Job.of_row(rows[0])

    def unfinished(self) -> list[Job]:
        """All that were queued or running when the service ended, in the order of their arrival."""
        query = "SELECT * FROM job WHERE state IN ('queued', 'running') ORDER BY number"
        return [Job.of_row(row) for row in self.database.read(query)]

    def begin(self, job: str) -> Job:
        """It is begun, and what an earlier attempt left is forgotten.

        Returns:
            It, as it stands now.
        """
        with self.database.write() as change:
            change.execute(
                "UPDATE job SET state = 'running', attempts = attempts + 1, results = '[]', messages = '[]' WHERE id = ?",
                (job,),
            )
            return Job.of_row(change.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone())

    def forget(self, older: float) -> None:
        """Delete jobs that ended long ago; their pictures stay in the gallery.

        Args:
            older: seconds since their end.
        """
        with self.database.write() as change:
            change.execute("DELETE FROM job WHERE ended < ?", (time.time() - older,))

    def put_back(self, job: str, attempts: int) -> None:
        """It waits again.

        Args:
            job: which.
            attempts: how many count.
        """
        with self.database.write() as change:
            change.execute("UPDATE job SET state = 'queued', attempts = ? WHERE id = ? AND state = 'running'", (attempts, job))

    def end(self, job: str, state: str, messages: list[dict[str, str]] | None = None, error: Failure | None = None) -> None:
        """It is done, failed or cancelled; one that has ended stays as it is."""
        said = None if error is None else json.dumps(error.to_json())
        with self.database.write() as change:
            change.execute(
                "UPDATE job SET state = ?, ended = ?, error = ?, messages = coalesce(?, messages) "
                "WHERE id = ? AND state IN ('queued', 'running')",
                (state, time.time(), said, None if messages is None else json.dumps(messages), job),
            )

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        return {row[0]: row[1] for row in self.database.read("SELECT state, count(*) FROM job GROUP BY state")}
