"""The gallery: every picture that was made, newest first, found by the words of its prompt."""

import json
import time
from dataclasses import dataclass
from typing import Any

from zeroconv.database import Database, Row, retried
from zeroconv.service.failure import Failure, MissingError, ServiceError
from zeroconv.service.jobs import UNFINISHED
from zeroconv.service.pictures import ID, PICTURE, PictureStore

__all__ = ["Gallery", "Page"]

WORDS = 16  # of a search that count
SEARCHED = 1000  # letters of a prompt
PATIENCE = 2.0  # seconds of a search
AT_ONCE = 500  # pictures that are deleted
NEEDED = f"SELECT 1 FROM gallery WHERE request LIKE ? UNION ALL SELECT 1 FROM job WHERE {UNFINISHED} AND request LIKE ? LIMIT 1"
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
        host: the name of this service.
    """

    def __init__(self, database: Database, pictures: PictureStore, host: str = "") -> None:
        self.database, self.pictures, self.host = database, pictures, host

    @retried
    def add(self, job: str, result: dict[str, Any], request: dict[str, Any]) -> bool:
        """A picture of a job is done: a result of the job and a row here, both or neither.

        Args:
            job: whose.
            result: as in `GET generations/{id}`.
            request: makes this one picture.

        Returns:
            Whether it is kept; it is not where another service does the job by now.
        """
        with self.database.write() as change:
            found = change.execute("SELECT results FROM job WHERE id = ? AND host = ?", (job, self.host)).fetchone()
            results = None if found is None else json.loads(found[0])
            if results is None:
                return False
            if results[-1:] != [result]:  # it is there where it was kept before, and the answer lost
                results.append(result)
            change.execute("UPDATE job SET results = ? WHERE id = ?", (json.dumps(results), job))
            change.execute("DELETE FROM gallery WHERE id = ?", (result["picture"],))
            change.execute(
                "INSERT INTO gallery (id, created, prompt, seed, width, height, request, controls) VALUES (?,?,?,?,?,?,?,?)",
                (
                    result["picture"], time.time(), str(request["prompt"]), str(result["seed"]), result["width"],
                    result["height"], json.dumps(request), json.dumps(result["controls"]),
                ),
            )  # fmt: skip
        return True

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
        where = [f"lower(substr(prompt, 1, {SEARCHED})) LIKE lower(?) ESCAPE '\\'"] * len(words) + (
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

    @retried
    def remove(self, picture: str) -> None:
        """Delete a picture, and its file if nothing else needs it; maps go when nobody uses them, with `sweep`.

        Raises:
            MissingError: it is not in the gallery.
        """
        with self.database.write() as change:
            if not change.execute("DELETE FROM gallery WHERE id = ?", (picture,)).rowcount:
                raise MissingError(f"there is no picture {picture[:64]!r} in the gallery")
            needed = change.execute(NEEDED, [f"%{PICTURE}{picture}%"] * 2).fetchone()
        if needed is None:
            self.pictures.remove(picture)

    def trim(self, keep: int) -> int:
        """Delete the oldest pictures, with what was laid over them, where nothing else needs them.

        Args:
            keep: how many stay.

        Returns:
            How many were deleted.
        """
        count = 0
        while rows := self.database.read(
            "SELECT number, id, controls FROM gallery ORDER BY number DESC LIMIT ? OFFSET ?", AT_ONCE, keep
        ):
            self.forget([row["number"] for row in rows])
            overlays = {one["overlay"] for row in rows for one in json.loads(row["controls"])}
            for picture in ({row["id"] for row in rows} | overlays) - self.used() - {None}:
                self.pictures.remove(picture)
            count += len(rows)
        return count

    @retried
    def forget(self, numbers: list[int]) -> None:
        """Delete rows."""
        with self.database.write() as change:
            change.executemany("DELETE FROM gallery WHERE number = ?", [(number,) for number in numbers])

    def used(self) -> set[str]:
        """The ids of all pictures that a row of the gallery, or a job that has not ended, speaks of."""
        texts = list(self.database.read("SELECT id || ' ' || request || controls FROM gallery"))
        texts += self.database.read(f"SELECT request || results FROM job WHERE {UNFINISHED}")
        return {name for row in texts for name in ID.findall(str(row[0]))}


def describe(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    plain = {name: row[name] for name in ("id", "created", "prompt", "width", "height")}
    return {**plain, "seed": int(row["seed"]), "request": json.loads(row["request"]), "controls": json.loads(row["controls"])}


def escape(word: str) -> str:
    """A word as LIKE takes it literally."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
