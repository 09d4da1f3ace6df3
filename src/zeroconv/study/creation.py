"""Making a study: its pictures under opaque names, its raters with their links, every question drawn beforehand."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zeroconv.database import Change, create_database, database_exists
from zeroconv.errors import InputError
from zeroconv.study.order import Aspect, Kind, draw_teaching, plan_discrimination, plan_labels, plan_ranking
from zeroconv.study.pictures import StudyItem
from zeroconv.study.schema import STUDY

__all__ = ["StudyPlan", "create_study", "now"]

MOST_METHODS = 10
TOKEN_BYTES, PICTURE_BYTES = 24, 16  # 192 and 128 bits: nobody guesses them


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study asks.

    Attributes:
        kind: "ranking" of the pictures of all methods, or "discrimination": which of two models made this one?
        methods: their names, which raters never see.
        raters: how many links are made.
        teaching: of discrimination, items shown as examples to every rater before.
        trials: of discrimination, questions to each rater.
        title: shown to raters; says nothing of the methods.
    """

    kind: Kind
    methods: tuple[str, ...]
    raters: int = 12
    teaching: int = 0
    trials: int = 0
    title: str = "Picture study"


def create_study(place: str | Path, plan: StudyPlan, items: Iterable[StudyItem], key: bytes | None = None) -> None:
    """Write a study, whole or not at all.

    Args:
        place: of its file, or where it will be on a PostgreSQL server; nothing may be there.
        plan: what is asked.
        items: the pictures; those of a ranking all have a map or none has one, and with maps fidelity is asked for, too.
        key: of the order; a random one if left out. With it everything but the links and the names of pictures is the same
            again.

    Raises:
        InputError: the plan does not fit the items, or something is there already.
        OSError: it cannot be written.
    """
    check_plan(plan)
    if database_exists(place, STUDY):
        shown = str(place).rpartition("@")[2]  # without a password
        raise InputError(f"{shown} is there already, maybe with votes", field="study", hint="give another name")
    create_database(place, STUDY, lambda change: fill(change, plan, items, key or secrets.token_bytes(32))).close()


def fill(connection: Change, plan: StudyPlan, items: Iterable[StudyItem], key: bytes) -> None:
    """Put in everything."""
    connection.execute("INSERT INTO study VALUES (1, ?, ?, ?)", (plan.kind, plan.title, now()))
    connection.executemany("INSERT INTO method VALUES (?, ?)", enumerate(plan.methods))
    maps = [add_item(connection, index, item) for index, item in enumerate(items)]
    if not maps:
        raise InputError("the study has no picture", field="method")
    teaching = choose_teaching(key, plan, len(maps))
    connection.executemany("UPDATE item SET is_teaching = 1 WHERE id = ?", [(index,) for index in teaching])
    for rater in range(plan.raters):
        add_rater(connection, key, plan, rater, maps, teaching)


def check_plan(plan: StudyPlan) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: naming what is wrong.
    """
    count = len(plan.methods)
    if plan.kind == "discrimination" and count != 2:
        raise InputError(f"to tell models apart takes exactly 2 methods, got {count}", field="method")
    if not 2 <= count <= MOST_METHODS:
        raise InputError(f"got {count} methods; expected 2 to {MOST_METHODS}", field="method")
    if len(set(plan.methods)) < count or not all(name.strip() for name in plan.methods):
        raise InputError("every method needs a name of its own", field="method")
    if plan.raters < 1:
        raise InputError(f"got {plan.raters} raters; expected at least 1", field="raters")


def choose_teaching(key: bytes, plan: StudyPlan, items: int) -> list[int]:
    """Indices of the examples; none for a ranking.

    Raises:
        InputError: there are too few items.
    """
    if plan.kind == "ranking":
        return []
    if plan.trials < 1 or plan.teaching < 1 or plan.teaching + plan.trials > items:
        message = f"{plan.teaching} items of teaching and {plan.trials} trials do not fit {items} items"
        raise InputError(message, field="trials", hint="both are at least 1, and no item is in both")
    return draw_teaching(key, items, plan.teaching)


def add_item(connection: Change, index: int, item: StudyItem) -> bool:
    """Put in the pictures of an item; whether it has a map."""
    shown = None if item.map is None else add_picture(connection, item.map)
    connection.execute("INSERT INTO item VALUES (?, ?, ?, ?, 0)", (index, item.stem, item.prompt, shown))
    rows = [(index, method, add_picture(connection, png)) for method, png in enumerate(item.pictures)]
    connection.executemany("INSERT INTO result VALUES (?, ?, ?)", rows)
    return shown is not None


def add_picture(connection: Change, png: bytes) -> str:
    """Put in a picture; its name."""
    name = secrets.token_urlsafe(PICTURE_BYTES)
    connection.execute("INSERT INTO picture VALUES (?, ?)", (name, png))
    return name


def add_rater(
    connection: Change, key: bytes, plan: StudyPlan, rater: int, maps: Sequence[bool], teaching: Sequence[int]
) -> None:
    """Put in a rater with a link and all questions."""
    connection.execute("INSERT INTO rater VALUES (?, ?, NULL)", (rater, secrets.token_urlsafe(TOKEN_BYTES)))
    if plan.kind == "ranking":
        aspects: tuple[Aspect, ...] = ("quality", "fidelity") if all(maps) else ("quality",)
        questions = plan_ranking(key, rater, len(maps), len(plan.methods), aspects)
    else:
        asked = [index for index in range(len(maps)) if index not in set(teaching)]
        questions = plan_discrimination(key, rater, asked, plan.trials)
        labels = plan_labels(key, rater, len(plan.methods))
        connection.executemany("INSERT INTO label VALUES (?, ?, ?)", [(rater, place, one) for place, one in enumerate(labels)])
    for place, question in enumerate(questions):
        added = connection.execute(
            "INSERT INTO question (rater, place, item, aspect) VALUES (?, ?, ?, ?) RETURNING id",
            (rater, place, question.item, question.aspect),
        ).fetchone()["id"]
        rows = [(added, seen, method) for seen, method in enumerate(question.methods)]
        connection.executemany("INSERT INTO shown VALUES (?, ?, ?)", rows)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
