"""Jobs in the store: what was asked, by whom, who does it, and what came of it: nothing is lost when a server dies."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from zeroconv.database import Database, Row, retried
from zeroconv.service.failure import Failure, MissingError

__all__ = ["UNFINISHED", "Job", "JobStore"]

UNFINISHED = "state IN ('queued', 'running')"
"""Of jobs, as SQL."""


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
    """The jobs of a service, which changes those alone that are its own: others may do the rest.

    Args:
        database: of the schema `SERVICE`.
        host: the name of this service.
    """

    def __init__(self, database: Database, host: str = "") -> None:
        self.database, self.host = database, host

    def add(self, client: str, request: dict[str, Any]) -> Job:
        """A new job, queued.

        Raises:
            OSError: when it cannot be kept.
        """
        job = Job(secrets.token_hex(12), client, "queued", time.time(), 0, request, [], [], None)
        self.insert(job)
        return job

    @retried
    def insert(self, job: Job) -> None:
        """Put in a new job."""
        values = (job.id, job.client, job.state, job.created, json.dumps(job.request, allow_nan=False), self.host)
        with self.database.write() as change:
            change.execute(
                "INSERT INTO job (id, client, state, created, request, host) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO NOTHING",
                values,
            )

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
        """All of this service that have not ended, in the order of their arrival."""
        query = f"SELECT * FROM job WHERE {UNFINISHED} AND host = ? ORDER BY number"
        return [Job.of_row(row) for row in self.database.read(query, self.host)]

    @retried
    def beat(self) -> None:
        """Give a sign of life."""
        with self.database.write() as change:
            change.execute(
                f"INSERT INTO host (id, seen) VALUES (?, {self.database.clock}) "
                "ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
                (self.host,),
            )

    @retried
    def leave(self) -> None:
        """End: others may take over what has not ended."""
        with self.database.write() as change:
            change.execute("DELETE FROM host WHERE id = ?", (self.host,))

    @retried
    def take_over(self, silent: float) -> None:
        """Make the unfinished jobs of services that have ended, however they did, those of this one.

        Args:
            silent: seconds without a sign of life after which a service has ended.
        """
        alive = f"SELECT id FROM host WHERE seen > {self.database.clock} - ?"
        with self.database.write() as change:
            change.execute(f"UPDATE job SET host = ? WHERE {UNFINISHED} AND host NOT IN ({alive})", (self.host, silent))
            change.execute(f"DELETE FROM host WHERE id <> ? AND seen <= {self.database.clock} - ?", (self.host, silent))

    @retried
    def begin(self, job: str) -> Job | None:
        """It is begun, and what an earlier attempt left is forgotten.

        Returns:
            It, as it stands now; None if it has ended, or another service does it.
        """
        with self.database.write() as change:
            row = change.execute(
                "UPDATE job SET state = 'running', attempts = attempts + 1, results = '[]', messages = '[]' "
                f"WHERE id = ? AND host = ? AND {UNFINISHED} RETURNING *",
                (job, self.host),
            ).fetchone()
        return None if row is None else Job.of_row(row)

    @retried
    def forget(self, older: float) -> None:
        """Delete jobs that ended long ago; their pictures stay in the gallery.

        Args:
            older: seconds since their end.
        """
        with self.database.write() as change:
            change.execute("DELETE FROM job WHERE ended < ?", (time.time() - older,))

    @retried
    def trim(self, keep: int) -> None:
        """Delete the oldest jobs that have ended.

        Args:
            keep: how many of them stay.
        """
        newest = "SELECT number FROM job WHERE ended IS NOT NULL ORDER BY number DESC LIMIT ?"
        with self.database.write() as change:
            change.execute(f"DELETE FROM job WHERE ended IS NOT NULL AND number NOT IN ({newest})", (keep,))

    @retried
    def put_back(self, job: str, attempts: int) -> None:
        """It waits again.

        Args:
            job: which.
            attempts: how many count.
        """
        with self.database.write() as change:
            change.execute(
                "UPDATE job SET state = 'queued', attempts = ? WHERE id = ? AND host = ? AND state = 'running'",
                (attempts, job, self.host),
            )

    @retried
    def end(self, job: str, state: str, messages: list[dict[str, str]] | None = None, error: Failure | None = None) -> None:
        """It is done, failed or cancelled; one that has ended stays as it is."""
        said = None if error is None else json.dumps(error.to_json())
        with self.database.write() as change:
            change.execute(
                "UPDATE job SET state = ?, ended = ?, error = ?, messages = coalesce(?, messages) "
                f"WHERE id = ? AND {UNFINISHED} AND host = ?",
                (state, time.time(), said, None if messages is None else json.dumps(messages), job, self.host),
            )

    @retried
    def cancel(self, job: str) -> None:
        """A job that another service does is not wanted any more, which that one learns soon."""
        with self.database.write() as change:
            query = f"UPDATE job SET state = 'cancelled', ended = ? WHERE id = ? AND {UNFINISHED}"
            change.execute(query, (time.time(), job))

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        return {row[0]: row[1] for row in self.database.read("SELECT state, count(*) FROM job GROUP BY state")}
