"""From a file to a server and back every row is equal; what is there already, or in use, is refused and stays as it was."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PASSWORD, PostgresServer
from tests.study.raters import make_study
from zeroconv.cli import main
from zeroconv.database import RuleError, SQLiteDatabase, copy_database, database_exists, open_database, open_snapshot
from zeroconv.database.copying import tables_of
from zeroconv.service.gallery import Gallery
from zeroconv.service.jobs import JobStore
from zeroconv.service.pictures import PictureStore
from zeroconv.service.schema import SERVICE
from zeroconv.service.storage import FILE, Storage
from zeroconv.study import Study
from zeroconv.study.schema import STUDY

ESCAPED = "p%40ss%3Aw%2Frd%231"
REQUEST = {"prompt": "ein Häuschen 🎨 100% 'x' ? \\", "seed": 2**64 - 1}


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Everything in a file, whatever wrote it."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}


def fill_service(folder: Path, jobs: int = 3) -> Path:
    """A service's folder with jobs of each kind and pictures, the newest of each thrown away."""
    storage = Storage(folder, None)
    store, gallery = JobStore(storage.database), Gallery(storage.database, PictureStore(folder / "pictures"))
    for index in range(jobs):
        job = store.add("client", {**REQUEST, "number": index}).id
        assert store.begin(job) is not None
        result = {"picture": f"{index:064x}", "seed": REQUEST["seed"], "width": 8, "height": 8, "controls": []}
        assert gallery.add(job, result, REQUEST)
        if index != 1:
            store.end(job, "done" if index == 0 else "failed", [{"text": "told"}])
    store.add("client", REQUEST)
    with storage.database.write() as change:
        change.execute("UPDATE job SET created = created + 1e-7, ended = 1764492201.1234567 WHERE ended IS NOT NULL")
    storage.close()
    return folder / FILE


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An address by a password where nothing is."""
    return f"postgresql://tester:{ESCAPED}@{postgres.public}#t{secrets.token_hex(8)}"


def copy(source: Path | str, target: Path | str, *more: str) -> int:
    return main(["database", "copy", str(source), str(target), *more])


def test_a_service_comes_back_row_for_row_and_its_folder_goes_along(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "served"
    file = fill_service(folder)
    before, content = rows_of(file), file.read_bytes()
    assert copy(file, url) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["job", "4", "gallery", "3"] and f"{folder} belongs to the copy now" in said.err
    assert file.read_bytes() == content and PASSWORD not in said.out + said.err and ESCAPED not in said.out + said.err
    aside = file.rename(tmp_path / "aside.sqlite")
    assert copy(url, file) == 0 and rows_of(file) == before == rows_of(aside)
    with_file = Storage(folder, None)  # it is the file's again
    assert [job.request for job in JobStore(with_file.database).unfinished()] == [{**REQUEST, "number": 1}, REQUEST]
    with_file.close()


def test_a_copied_service_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    file = fill_service(folder)
    assert copy(file, url) == 0
    storage = Storage(folder, url)
    jobs = JobStore(storage.database, storage.host)
    jobs.beat()
    jobs.take_over(30.0)
    assert [job.request for job in jobs.unfinished()] == [{**REQUEST, "number": 1}, REQUEST]
    added = jobs.add("client", {})  # its number is free
    numbers = [row[0] for row in storage.database.read("SELECT number FROM job ORDER BY number")]
    assert numbers == [1, 2, 3, 4, 5] and jobs.unfinished()[-1].id == added.id
    file.rename(tmp_path / "aside.sqlite")
    assert copy(url, file) == 1 and not file.exists()  # a service uses it
    jobs.leave()
    storage.close()
    assert copy(url, file) == 0
    back = Storage(folder, None)
    assert len(JobStore(back.database).unfinished()) == 3 and back.database.read("SELECT * FROM host") == []
    back.close()


def test_a_study_comes_back_row_for_row(url: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    make_study(str(one), ("a", "b", "c"))
    with Study(str(one)) as study:
        rater = study.raters()[0]
        study.begin(rater)
        question = study.questions(rater)[0]
        study.rank(rater, question.place, {name: rank for rank, name in enumerate(question.pictures, 1)})
    assert copy(one, url) == 0 and copy(url, two) == 0
    assert rows_of(one) == rows_of(two) and len(rows_of(one)["answer"]) == 3


def test_what_is_there_is_refused_and_stays(
    url: str, postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fill_service(tmp_path / "served")
    study, other = tmp_path / "study.sqlite", tmp_path / "other"
    make_study(str(study), ("a", "b"))
    assert copy(file, url) == copy(study, url) == 0
    capsys.readouterr()
    for source, target, *more, said in (
        (fill_service(other), url, f"zeroconv_service_{url.partition('#')[2]} is there already"),
        (url, study, "--kind", "study", f"{study} is there already: move it away"),
        (url, tmp_path / "x", "a service and a study are there: say which with --kind"),
        (f"{postgres.url}#none", tmp_path / "x", "there is no service's state and no user study where FROM is"),
        (tmp_path / "none", url, "there is no service's state and no user study where FROM is"),
        (study, tmp_path / "x", "expected a file on one side"),
        (url, f"{postgres.url}#y", "expected a file on one side"),
        (study, "mysql://a:hunter2@h/x", "expected a file on one side"),
        (file, f"{postgres.url}#y", "and service.sqlite there is older: copy that database"),
        (url, other / FILE, "--kind", "service", f"{other / FILE} is there already"),
    ):
        assert copy(source, target, *more) == 1
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1 and ESCAPED not in line and "hunter2" not in line, line
    assert not (tmp_path / "x").exists() and not database_exists(f"{postgres.url}#y", SERVICE)
    assert not (other / ".database").exists()


def test_a_service_that_runs_is_noticed(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = fill_service(tmp_path / "served")
    storage = Storage(file.parent, None)
    assert copy(file, url) == 1 and "serves" in capsys.readouterr().err and not database_exists(url, SERVICE)
    storage.close()


def test_a_snapshot_has_what_was_there_and_changes_nothing(postgres: PostgresServer, tmp_path: Path) -> None:
    for place in (str(tmp_path / "a.sqlite"), f"{postgres.url}#t{secrets.token_hex(8)}"):
        file = fill_service(tmp_path / secrets.token_hex(4))
        if not place.endswith(".sqlite"):
            with open_snapshot(file, SERVICE) as snapshot:
                copy_database(snapshot, place, SERVICE)
        else:
            file.rename(place)
        database = open_database(place, SERVICE)  # stays open: what it writes is beside the file yet
        jobs = JobStore(database)
        jobs.add("late", {})
        with open_snapshot(place, SERVICE) as snapshot:
            jobs.add("too late", {})
            assert len(list(snapshot.rows("SELECT * FROM job"))) == 5
        with pytest.raises(OSError, match="cannot use"), open_snapshot(place, SERVICE) as snapshot:
            next(snapshot.rows("UPDATE job SET state = 'done' RETURNING id"))
        assert jobs.counts() == {"done": 1, "running": 1, "failed": 1, "queued": 3}
        database.close()


def test_a_copy_that_breaks_leaves_nothing(url: str, tmp_path: Path) -> None:
    file = fill_service(tmp_path / "served")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        rows = [(f"{number}", "a", "done" if number != 550 else "lost", 0, "") for number in range(600)]  # more than at a time
        connection.executemany("INSERT INTO job (id, client, state, created, request) VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    with open_snapshot(file, SERVICE) as snapshot:
        for place in (url, tmp_path / "new.sqlite"):
            with pytest.raises((RuleError, OSError)):
                copy_database(snapshot, place, SERVICE)
            assert not database_exists(place, SERVICE)


@pytest.mark.parametrize("schema", [SERVICE, STUDY], ids=["service", "study"])
def test_every_table_is_copied(schema: Any, tmp_path: Path) -> None:
    SQLiteDatabase.create(tmp_path / "x", schema).close()
    assert sorted(tables_of(schema)) == sorted(rows_of(tmp_path / "x"))
