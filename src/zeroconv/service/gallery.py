"""The gallery: every picture that was made, newest first, found by the words of its prompt."""

import json
import time
from dataclasses import dataclass
from typing import Any

from zeroconv.database import Database, Row
from zeroconv.service.failure import Failure, MissingError, ServiceError
from zeroconv.service.pictures import ID, PICTURE, PictureStore

__all__ = ["Gallery", "Page"]

WORDS = 16  # of a search that count
SEARCHED = 1000  # letters of a prompt
PATIENCE = 2.0  # seconds of a search
NEEDED = (
    "SELECT 1 FROM gallery WHERE request LIKE :picture UNION ALL "
    "SELECT 1 FROM job WHERE state IN ('queued', 'running') AND request LIKE :picture LIMIT 1"
)
"""Whether a picture is part of what makes another one, or of a job that has not ended."""


@dataclass(frozen=True)
class Page:
    """Some pictures of the gallery.

    Attributes:
        pictures: newest first, as plain values.
        next: the cursor of the next page; None after the last.
    """

    pictures: list[dict[str, Any]]
    next: int | None


class Gallery:
    """Pictures that were made, with what made them.

    Args:
        database: of the schema `SERVICE`.
        pictures: their files.
    """

    def __init__(self, database: Database, pictures: PictureStore) -> None:
        self.database, self.pictures = database, pictures

    def add(self, job: str, result: dict[str, Any], request: dict[str, Any]) -> None:
        """A picture of a job is done: a result of the job and a row here, both or neither.

        Args:
            job: whose.
            result: as in `GET generations/{id}`.
            request: makes this one picture.
        """
        with self.database.write() as change:
            found = change.execute("SELECT results FROM job WHERE id = ?", (job,)).fetchone()
            results = [*json.loads(found[0]), result]
            change.execute("UPDATE job SET results = ? WHERE id = ?", (json.dumps(results), job))
            change.execute("DELETE FROM gallery WHERE id = ?", (result["picture"],))
            change.execute(
                "INSERT INTO gallery (id, created, prompt, seed, width, height, request, controls) VALUES (?,?,?,?,?,?,?,?)",
                (
                    result["picture"], time.time(), str(request["prompt"]), str(result["seed"]), result["width"],
                    result["height"], json.dumps(request), json.dumps(result["controls"]),
                ),
            )  # fmt: skip

    def find(self, query: str = "", before: int | None = None, limit: int = 50) -> Page:
        """Pictures whose prompt has all words of a query.

        Args:
            query: words, in any case; none finds all.
            before: the cursor of an earlier page.
            limit: how many at most.

        Raises:
            ServiceError: the search takes too long.
        """
        words = [escape(word) for word in query.split()[:WORDS]]
        where = [f"substr(prompt, 1, {SEARCHED}) LIKE ? ESCAPE '\\'"] * len(words) + (
            ["number < ?"] if before is not None else []
        )
        values: list[Any] = [f"%{word}%" for word in words] + ([before] if before is not None else [])
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        asked = f"SELECT * FROM gallery {condition} ORDER BY number DESC LIMIT ?"
        try:
            rows = self.database.search(asked, *values, limit + 1, seconds=PATIENCE)
        except TimeoutError as error:
            said = Failure("deadline", f"nothing more was found within {PATIENCE:g} s", "query", "search for other words")
            raise ServiceError(said) from error
        more = len(rows) > limit
        return Page([describe(row) for row in rows[:limit]], rows[limit - 1]["number"] if more else None)

    def get(self, picture: str) -> dict[str, Any]:
        """A picture of the gallery.

        Raises:
            MissingError: it is not in it.
        """
        rows = self.database.read("SELECT * FROM gallery WHERE id = ?", picture)
        if not rows:
            raise MissingError(f"there is no picture {picture[:64]!r} in the gallery")
        return describe(rows[0])

    def remove(self, picture: str) -> None:
        """Delete a picture, and its file if nothing else needs it; maps go when nobody uses them, with `sweep`.

        Raises:
            MissingError: it is not in the gallery.
        """
        with self.database.write() as change:
            if not change.execute("DELETE FROM gallery WHERE id = ?", (picture,)).rowcount:
                raise MissingError(f"there is no picture {picture[:64]!r} in the gallery")
            needed = change.execute(NEEDED, {"picture": f"%{PICTURE}{picture}%"}).fetchone()
        if needed is None:
            self.pictures.remove(picture)

    def used(self) -> set[str]:
        """The ids of all pictures that a row of the gallery, or a job that has not ended, speaks of."""
        texts = self.database.read("SELECT id || ' ' || request || controls FROM gallery")
        texts += self.database.read("SELECT request || results FROM job WHERE state IN ('queued', 'running')")
        return {name for row in texts for name in ID.findall(str(row[0]))}


def describe(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    plain = {name: row[name] for name in ("id", "created", "prompt", "width", "height")}
    return {**plain, "seed": int(row["seed"]), "request": json.loads(row["request"]), "controls": json.loads(row["controls"])}


def escape(word: str) -> str:
    """A word as LIKE takes it literally."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
