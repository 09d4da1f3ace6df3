"""A study while it goes on: what a rater is asked next, and votes, each kept before it is answered and never twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeroconv.database import Change, Row, open_database, retried
from zeroconv.errors import InputError
from zeroconv.study.creation import now
from zeroconv.study.order import Aspect, Kind
from zeroconv.study.schema import STUDY

__all__ = ["AnsweredError", "Question", "Rater", "Study", "Vote"]

LABELS = "ABCDEFGHIJ"


class AnsweredError(InputError):
    """A vote on a question that has another answer already, or that is not the next one."""


@dataclass(frozen=True)
class Rater:
    """One of those who are asked.

    Attributes:
        number: from 0.
        token: the secret of the link.
        is_begun: whether the explanation, and the teaching, is behind them.
        done: questions answered.
        total: questions.
    """

    number: int
    token: str
    is_begun: bool
    done: int
    total: int


@dataclass(frozen=True)
class Question:
    """What a rater is asked; nothing in it says which method is which.

    Attributes:
        place: from 0, in the order of this rater.
        aspect: "quality", "fidelity", or "model": which one made this picture?
        pictures: opaque names, in the order to be shown.
        map: the name of the condition map; None but for fidelity.
        prompt: the prompt of all pictures, if known.
    """

    place: int
    aspect: Aspect
    pictures: tuple[str, ...]
    map: str | None
    prompt: str | None


@dataclass(frozen=True)
class Vote:
    """An answer, with the names that raters do not see.

    Attributes:
        rater: number, from 0.
        item: stem of the pictures.
        aspect: what was asked.
        ranks: of a ranking, the rank of each method, the highest best; of "model", the named model alone.
        shown: of "model", who made the picture; else all methods in the order of the page.
        at: the time in UTC.
    """

    rater: int
    item: str
    aspect: Aspect
    ranks: Mapping[str, int]
    shown: tuple[str, ...]
    at: str


class Study:
    """A study, for the page and for the report; processes and threads may share it.

    Args:
        place: its file, or where it is on a PostgreSQL server.

    Raises:
        InputError: it is none.
        OSError: it cannot be opened.
    """

    def __init__(self, place: str | Path) -> None:
        self.place, self.database = place, open_database(place, STUDY)
        head = self.database.read("SELECT kind, title, created FROM study")[0]
        self.kind: Kind = head["kind"]
        self.title: str = head["title"]
        self.created: str = head["created"]
        self.methods: tuple[str, ...] = tuple(row["name"] for row in self.database.read("SELECT name FROM method ORDER BY id"))

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def raters(self) -> list[Rater]:
        """All of them."""
        return [describe_rater(row) for row in self.database.read(RATERS)]

    def rater(self, token: str) -> Rater | None:
        """The one with this link."""
        rows = self.database.read(f"{RATERS} WHERE token = ?", token)
        return describe_rater(rows[0]) if rows else None

    @retried
    def begin(self, rater: Rater) -> None:
        """Note that a rater has read the explanation; to say it again changes nothing."""
        with self.database.write() as connection:
            connection.execute("UPDATE rater SET begun = ? WHERE id = ? AND begun IS NULL", (now(), rater.number))

    def questions(self, rater: Rater, count: int = 1) -> list[Question]:
        """The next ones that a rater has not answered, in order; none when all are."""
        open_ones = "SELECT * FROM question WHERE rater = ? AND id NOT IN (SELECT question FROM vote) ORDER BY place LIMIT ?"
        return [self.describe(row) for row in self.database.read(open_ones, rater.number, count)]

    def describe(self, row: Row) -> Question:
        """A question as the page needs it."""
        pictures = self.database.read(PICTURES, row["id"])
        item = self.database.read("SELECT map, prompt FROM item WHERE id = ?", row["item"])[0]
        shown = item["map"] if row["aspect"] == "fidelity" else None
        return Question(row["place"], row["aspect"], tuple(one["picture"] for one in pictures), shown, item["prompt"])

    def teaching(self, rater: Rater) -> list[tuple[str, ...]]:
        """The names of the examples: of each item the picture of model A, that of model B."""
        rows = self.database.read(TEACHING, rater.number)
        size = len(self.methods)
        return [tuple(row["picture"] for row in rows[i : i + size]) for i in range(0, len(rows), size)]

    def picture(self, name: str) -> bytes | None:
        """A picture as a PNG."""
        rows = self.database.read("SELECT png FROM picture WHERE id = ?", name)
        return rows[0]["png"] if rows else None

    @retried
    def rank(self, rater: Rater, place: int, ranks: Mapping[str, int]) -> None:
        """Keep a ranking; it is on the disk when this returns. To send the same one again changes nothing.

        Args:
            rater: whose vote it is.
            place: of the question.
            ranks: by name of picture: 1 to as many as there are pictures, the highest best, each once.

        Raises:
            InputError: those are not the ranks of these pictures.
            AnsweredError: the question has another answer, or is not the next one.
            OSError: it cannot be kept; nothing has changed.
        """
        with self.database.write() as connection:
            question = find_question(connection, rater, place)
            if question["aspect"] == "model":
                raise InputError("this question asks which model made the picture", field="choice")
            methods = {row["picture"]: row["method"] for row in connection.execute(PICTURES, (question["id"],))}
            if ranks.keys() != methods.keys():
                raise InputError("these are not the pictures of this question", field="ranks", hint="reload the page")
            if sorted(ranks.values()) != list(range(1, len(methods) + 1)):
                raise InputError(f"expected each rank from 1 to {len(methods)} once", field="ranks")
            keep(connection, rater, question, {methods[name]: rank for name, rank in ranks.items()})

    @retried
    def choose(self, rater: Rater, place: int, label: str) -> None:
        """Keep which model a rater thinks made a picture; otherwise as `rank`.

        Args:
            rater: whose vote it is.
            place: of the question.
            label: "A" or "B", as this rater was taught.

        Raises:
            InputError: there is no such model.
            AnsweredError: as in `rank`.
            OSError: as in `rank`.
        """
        with self.database.write() as connection:
            question = find_question(connection, rater, place)
            if question["aspect"] != "model":
                raise InputError("this question asks for ranks", field="ranks")
            labels = connection.execute("SELECT method FROM label WHERE rater = ? ORDER BY place", (rater.number,)).fetchall()
            known = {LABELS[place]: row["method"] for place, row in enumerate(labels)}
            if label not in known:
                raise InputError(f"there is no model {label!r}; expected {' or '.join(known)}", field="choice")
            keep(connection, rater, question, {known[label]: 1})

    def votes(self) -> list[Vote]:
        """All votes so far, by rater and in the order in which they were asked."""
        answers = group(self.database.read(f"{ANSWERS} ORDER BY question"))
        shown = group(self.database.read(f"{SHOWN} ORDER BY question, place"))
        return [
            Vote(
                row["rater"],
                row["stem"],
                row["aspect"],
                {self.methods[one["method"]]: one["rank"] for one in answers[row["id"]]},
                tuple(self.methods[one["method"]] for one in shown[row["id"]]),
                row["at"],
            )
            for row in self.database.read(VOTES)
        ]


RATERS = """
SELECT id, token, begun,
    (SELECT count(*) FROM question WHERE rater = rater.id) AS total,
    (SELECT count(*) FROM vote JOIN question ON question.id = vote.question WHERE question.rater = rater.id) AS done
FROM rater"""
PICTURES = """
SELECT result.picture, result.method FROM shown
JOIN question ON question.id = shown.question
JOIN result ON result.item = question.item AND result.method = shown.method
WHERE shown.question = ? ORDER BY shown.place"""
TEACHING = """
SELECT result.picture FROM item
JOIN result ON result.item = item.id
JOIN label ON label.method = result.method AND label.rater = ?
WHERE item.is_teaching = 1 ORDER BY item.id, label.place"""
ANSWERS = "SELECT question, method, rank FROM answer"
SHOWN = "SELECT question, method FROM shown"
VOTES = """
SELECT question.id, question.rater, question.aspect, item.stem, vote.at FROM vote
JOIN question ON question.id = vote.question
JOIN item ON item.id = question.item
ORDER BY question.rater, question.place"""


def describe_rater(row: Row) -> Rater:
    """A row of `RATERS`."""
    return Rater(row["id"], row["token"], row["begun"] is not None, row["done"], row["total"])


def find_question(connection: Change, rater: Rater, place: int) -> Row:
    """The question at a place of a rater.

    Raises:
        InputError: there is none.
    """
    found = connection.execute("SELECT * FROM question WHERE rater = ? AND place = ?", (rater.number, place)).fetchone()
    if found is None:
        raise InputError(f"there is no question {place}", field="place", hint="reload the page")
    return found


def keep(connection: Change, rater: Rater, question: Row, ranks: Mapping[int, int]) -> None:
    """Put in a vote, unless this very vote is there.

    Raises:
        AnsweredError: another one is there, or an earlier question has none.
    """
    query = "SELECT method, rank FROM answer WHERE question = ?"
    before = {row["method"]: row["rank"] for row in connection.execute(query, (question["id"],))}
    if before == ranks:
        return  # the same vote sent again, its answer having been lost
    earlier = "SELECT count(*) FROM question WHERE rater = ? AND place < ? AND id NOT IN (SELECT question FROM vote)"
    if before or connection.execute(earlier, (rater.number, question["place"])).fetchone()[0]:
        raise AnsweredError("this question is answered already, or not the next one", field="place", hint="reload the page")
    connection.execute("INSERT INTO vote VALUES (?, ?)", (question["id"], now()))
    rows = [(question["id"], method, rank) for method, rank in ranks.items()]
    connection.executemany("INSERT INTO answer VALUES (?, ?, ?)", rows)


def group(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Rows by their question, in their order."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["question"], []).append(row)
    return found
