"""A study keeps what it was told, once, tells nobody who made what, and asks everybody in another order."""

import io
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.study.conftest import Make
from tests.study.raters import KEY, make_study, methods_of, noise, prefer
from zeroconv.database import RuleError, SQLiteDatabase
from zeroconv.errors import InputError
from zeroconv.study import AnsweredError, Rater, Study, StudyItem, StudyPlan, create_study, report_study
from zeroconv.study.order import plan_discrimination, plan_ranking
from zeroconv.study.schema import STUDY

FIVE = ("one", "two", "three", "four", "five")


def again(study: Study, rater: Rater) -> Rater:
    """The rater as the study knows him now."""
    found = study.rater(rater.token)
    assert found is not None
    return found


def test_every_rater_ranks_everything_once_for_each_aspect(made: Make) -> None:
    study = made(FIVE, items=4, raters=3)
    for rater in study.raters():
        asked = list[tuple[str, str]]()
        while coming := study.questions(again(study, rater)):
            question = coming[0]
            assert (question.map is not None) == (question.aspect == "fidelity") and len(set(question.pictures)) == 5
            asked.append((question.prompt or "", question.aspect))
            study.rank(rater, question.place, prefer(study, question, FIVE))
        assert len(asked) == len(set(asked)) == 8
        assert [aspect for _, aspect in asked] == ["quality", "fidelity"] * 4
        assert again(study, rater).done == again(study, rater).total == 8
    report = report_study(study)
    assert (report.finished, report.unfinished, report.absent) == (3, 0, 0)
    for result in report.rankings:
        assert {one.method: one.mean for one in result.methods} == dict(zip(FIVE, (5, 4, 3, 2, 1), strict=True))
        assert result.agreement == 1


def test_orders_differ_and_every_place_is_fair() -> None:
    plans = [plan_ranking(KEY, rater, 20, 5, ("quality", "fidelity")) for rater in range(200)]
    assert plans[0] == plan_ranking(KEY, 0, 20, 5, ("quality", "fidelity")) != plan_ranking(b"1" * 32, 0, 20, 5, ("quality",))
    assert len({tuple(one.item for one in plan) for plan in plans}) == 200
    places = Counter(question.methods.index(0) for plan in plans for question in plan)
    assert all(abs(places[place] / 8000 - 0.2) < 0.02 for place in range(5))
    both = zip(
        *([question.methods for question in plans[0] if question.aspect == aspect] for aspect in ("quality", "fidelity")),
        strict=True,
    )
    assert any(first != second for first, second in both)
    trials = [plan_discrimination(KEY, rater, range(50, 100), 20) for rater in range(200)]
    assert all(len({one.item for one in plan}) == 20 for plan in trials)
    assert abs(sum(one.methods == (1,) for plan in trials for one in plan) / 4000 - 0.5) < 0.03


def test_a_vote_is_kept_once(made: Make) -> None:
    study = made()
    rater, other = study.raters()
    question = study.questions(rater)[0]
    ranks = prefer(study, question, ("two", "one", "three"))
    study.rank(rater, question.place, ranks)
    study.rank(rater, question.place, ranks)  # sent again
    assert len(study.votes()) == 1 and again(study, rater).done == 1
    turned = {name: 4 - rank for name, rank in ranks.items()}
    with pytest.raises(AnsweredError, match="answered already"):
        study.rank(rater, question.place, turned)
    later = study.questions(rater, 6)[-1]
    with pytest.raises(AnsweredError, match="not the next"):
        study.rank(rater, later.place, prefer(study, later, ("two", "one", "three")))
    assert [dict(vote.ranks) for vote in study.votes()] == [{"two": 3, "one": 2, "three": 1}]
    assert again(study, other).done == 0


@pytest.mark.parametrize("wrong", ["few", "many", "twice", "high", "foreign", "none"])
def test_what_is_no_ranking_is_refused(made: Make, wrong: str) -> None:
    study = made()
    rater = study.raters()[0]
    question = study.questions(rater)[0]
    one, two, three = question.pictures
    foreign = next(name for name in methods_of(study) if name not in question.pictures)
    ranks = {
        "few": {one: 1, two: 2}, "many": {one: 1, two: 2, three: 3, foreign: 4}, "twice": {one: 1, two: 1, three: 2},
        "high": {one: 2, two: 3, three: 4}, "foreign": {one: 1, two: 2, foreign: 3}, "none": {},
    }[wrong]  # fmt: skip
    with pytest.raises(InputError) as caught:
        study.rank(rater, question.place, ranks)
    assert caught.value.field == "ranks" and study.votes() == []
    with pytest.raises(InputError, match="no question 99"):
        study.rank(rater, 99, {})


def test_many_hands_on_one_question_leave_one_vote(made: Make) -> None:
    study = made()
    rater = study.raters()[0]
    question = study.questions(rater)[0]
    orders = [("one", "two", "three"), ("two", "one", "three"), ("three", "two", "one")] * 4
    kept = list[int]()

    def vote(index: int) -> None:
        with Study(study.place) as own:  # a connection of its own, as of another process
            try:
                own.rank(rater, question.place, prefer(own, question, orders[index]))
                kept.append(index)
            except AnsweredError:
                pass

    threads = [threading.Thread(target=vote, args=(index,)) for index in range(len(orders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({orders[index] for index in kept}) == 1 and len(kept) == 4
    assert len(study.votes()) == 1


def test_the_tables_themselves_refuse_a_second_vote(made: Make) -> None:
    study = made()
    for statement in (
        "INSERT INTO answer SELECT id, 0, 1 FROM question LIMIT 1",  # no vote stands behind it
        "INSERT INTO vote VALUES (99999, '')",
        "INSERT INTO label VALUES (0, 0, 77)",
    ):
        with pytest.raises(RuleError), study.database.write() as connection:
            connection.execute(statement)
    with study.database.write() as connection:
        connection.execute("INSERT INTO vote SELECT id, '' FROM question LIMIT 1")
        connection.execute("INSERT INTO answer SELECT id, 0, 1 FROM question LIMIT 1")
    for statement in (
        "INSERT INTO vote SELECT id, '' FROM question LIMIT 1",
        "INSERT INTO answer SELECT id, 0, 2 FROM question LIMIT 1",  # the method twice
        "INSERT INTO answer SELECT id, 1, 1 FROM question LIMIT 1",  # the rank twice
    ):
        with pytest.raises(RuleError), study.database.write() as connection:
            connection.execute(statement)
    assert len(study.votes()) == 1


def test_a_change_that_fails_in_the_middle_leaves_nothing(made: Make) -> None:
    study = made()
    with pytest.raises(RuntimeError), study.database.write() as connection:
        connection.execute("UPDATE study SET title = 'other'")
        raise RuntimeError
    assert study.database.read("SELECT title FROM study")[0]["title"] == "Picture study"
    if isinstance(study.database, SQLiteDatabase):
        assert study.database.read("PRAGMA journal_mode")[0][0] == "wal"
        assert study.database.read("PRAGMA synchronous")[0][0] == 2 and study.database.read("PRAGMA foreign_keys")[0][0] == 1


def test_models_are_told_apart_by_labels_that_differ_between_raters(made: Make) -> None:
    study = made(("x", "y"), kind="discrimination", items=10, raters=8, teaching=4, trials=5)
    known, firsts, taught = methods_of(study), list[str](), set[str]()
    for rater in study.raters():
        examples = study.teaching(rater)
        assert len(examples) == 4
        sides = [{known[pair[side]] for pair in examples} for side in (0, 1)]
        assert [len(side) for side in sides] == [1, 1] and sides[0] != sides[1]
        labels = {sides[0].pop(): "A", sides[1].pop(): "B"}
        firsts.append(min(labels, key=lambda name: labels[name]))
        taught |= {name for pair in examples for name in pair}
        for _ in range(5):
            question = study.questions(rater)[0]
            assert len(question.pictures) == 1 and question.map is None and question.pictures[0] not in taught
            made_by = known[question.pictures[0]]
            with pytest.raises(InputError, match="no model 'C'"):
                study.choose(rater, question.place, "C")
            with pytest.raises(InputError, match="which model"):
                study.rank(rater, question.place, {question.pictures[0]: 1})
            study.choose(rater, question.place, labels[made_by])
    assert set(firsts) == {"x", "y"} and len(taught) == 8
    result = report_study(study).discrimination
    assert result is not None and (result.precision, result.deviation, result.correct) == (1, 0, 40)


def test_pictures_are_the_pixels_that_were_given_and_nothing_else(made: Make) -> None:
    study = made(items=2)
    known = methods_of(study)
    for row in study.database.read("SELECT item, method, picture FROM result"):
        content = study.picture(row["picture"])
        assert content is not None and content == noise(row["item"] * 3 + row["method"])
        with Image.open(io.BytesIO(content)) as image:
            assert image.info == {} and image.format == "PNG"
    assert len(known) == 6 and all(len(name) == 22 for name in known)
    assert study.picture("../etc/passwd") is None
    assert not isinstance(study.database, SQLiteDatabase) or study.database.path.stat().st_mode & 0o077 == 0


def test_links_are_unique_and_lead_to_one_rater(made: Make) -> None:
    study = made(raters=40)
    tokens = [rater.token for rater in study.raters()]
    assert len(set(tokens)) == 40 and all(len(token) == 32 for token in tokens)
    found = study.rater(tokens[7])
    assert found is not None and found.number == 7
    assert study.rater("") is study.rater(tokens[7][:-1]) is study.rater(tokens[7] + "' OR 1") is None


def test_unfinished_raters_are_counted_and_can_be_left_out(made: Make) -> None:
    study = made(items=2, raters=3)
    first, second, _ = study.raters()
    for rater, answers in ((first, 4), (second, 1)):
        for _ in range(answers):
            question = study.questions(rater)[0]
            order = ("one", "two", "three") if rater is first else ("three", "two", "one")
            study.rank(rater, question.place, prefer(study, question, order))
    report = report_study(study)
    assert (report.finished, report.unfinished, report.absent, len(report.votes)) == (1, 1, 1, 5)
    assert "5 votes; of 3 raters 1 finished, 1 in part, counted by what they answered, 1 not begun" in report.lines()[0]
    only = report_study(study, finished_only=True)
    assert len(only.votes) == 4 and {vote.rater for vote in only.votes} == {0} and "left out here" in only.lines()[0]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"methods": ("one",)}, "got 1 methods; expected 2 to 10"),
        ({"methods": ("one", "one")}, "a name of its own"),
        ({"methods": ("one", " ")}, "a name of its own"),
        ({"methods": ("a", "b", "c"), "kind": "discrimination"}, "exactly 2 methods, got 3"),
        ({"methods": ("a", "b"), "kind": "discrimination", "teaching": 3, "trials": 1}, "do not fit 3 items"),
        ({"raters": 0}, "got 0 raters"),
    ],
)
def test_plans_that_cannot_be(tmp_path: Path, plan: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_study(tmp_path / "study.sqlite", **{"methods": ("one", "two"), **plan})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_never_overwritten_and_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    make_study(path, ("one", "two"))
    before = path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]  # whole in one file
    with pytest.raises(InputError, match="there already"):
        make_study(path, ("one", "two"))

    def broken() -> list[StudyItem]:
        raise InputError("a picture that cannot be read")

    plan = StudyPlan(kind="ranking", methods=("one", "two"))
    with pytest.raises(InputError, match="cannot be read"):
        create_study(tmp_path / "other.sqlite", plan, (item for _ in range(1) for item in broken()))
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_files_that_are_no_study(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no study\n" * 100)
    (tmp_path / "empty").touch()
    sqlite3.connect(tmp_path / "other").executescript("CREATE TABLE study (id)").connection.close()
    make_study(tmp_path / "newer", ("one", "two"))
    connection = sqlite3.connect(tmp_path / "newer")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for name, said in (
        ("missing", "no user study at"), ("text", "damaged, or no user study"), ("empty", "is no user study"),
        ("other", "is no user study"), ("newer", "of format 2; expected format 1"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            Study(tmp_path / name)
    assert not (tmp_path / "missing").exists()


def test_a_damaged_study_says_so(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    make_study(path, ("one", "two"), items=20)
    content = bytearray(path.read_bytes())
    content[4096 * 2 : -4096] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with pytest.raises((InputError, OSError), match=r"study\.sqlite"), SQLiteDatabase(path, STUDY) as database:
        for table in ("study", "method", "picture", "item", "result", "rater", "question", "shown"):
            database.read(f"SELECT * FROM {table}")
