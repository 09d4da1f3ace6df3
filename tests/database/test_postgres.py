"""A real PostgreSQL: what cannot be used ends in one line without the password, and a restart of the server loses nothing."""

import logging
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PASSWORD, PostgresServer
from zeroconv.cli import main
from zeroconv.database import RuleError, SQLiteDatabase, create_database, database_exists, open_database
from zeroconv.database.address import read_address
from zeroconv.database.interface import AwayError
from zeroconv.database.postgres import PostgresDatabase
from zeroconv.errors import InputError
from zeroconv.service.jobs import JobStore
from zeroconv.service.schema import SERVICE
from zeroconv.service.storage import Storage
from zeroconv.study.schema import STUDY

SECRET = "hunter2secret"
ESCAPED = "p%40ss%3Aw%2Frd%231"


def refused(url: str) -> str:
    with pytest.raises(InputError) as caught:
        open_database(url, SERVICE)
    assert "\n" not in str(caught.value) and SECRET not in str(caught.value) and caught.value.field == "database"
    return str(caught.value)


def test_what_cannot_be_used_is_said_in_one_line_without_the_password(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "password authentication failed" in refused(f"postgresql://tester:{SECRET}@{postgres.public}")
    assert "no password supplied" in refused(f"postgresql://tester@{postgres.public}")
    absent = refused(postgres.url.replace("/postgres", "/absent"))
    assert absent.endswith(': database "absent" does not exist: make it first, with createdb')
    stranger = refused(postgres.url.replace("tester", "stranger"))
    assert stranger.endswith(': role "stranger" does not exist: make it first, with createuser')
    assert "Connection refused" in refused(f"postgresql://a:{SECRET}@127.0.0.1:1/x")
    assert "there is no service's state" in refused(f"postgresql://tester:{ESCAPED}@{postgres.public}#none")
    for damaged in (f"a:%zz{SECRET}@h/x", f"a:{SECRET}@h:port/x", f"a:{SECRET}@h/x?nonsense={SECRET}"):
        assert refused(f"postgresql://{damaged}")
    assert "behind #" in refused(f"postgresql://a:{SECRET}@h/x#A;DROP")
    monkeypatch.setattr("zeroconv.database.postgres_tables.OLDEST", 990000)
    assert "expected 99 or newer" in refused(postgres.url)
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    assert 'pip install "zeroconv[postgres]"' in refused(postgres.url)


def test_the_password_is_in_nothing_that_is_shown() -> None:
    address = read_address(f"postgresql://me:{SECRET}@h/x#one")
    assert SECRET not in repr(address) + str(address) + address.clean(f"a {SECRET}\nb") and address.clean("a\nb") == "a b"


def test_a_server_that_stays_away_is_not_waited_for_each_time(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroconv.database.postgres.PATIENCE", 0.5)
    monkeypatch.setattr("zeroconv.database.postgres.BRIEF", 0.05)
    database = create_database(f"{postgres.url}#away", SERVICE)
    jobs = JobStore(database, "h")
    postgres.stop()
    with pytest.raises(AwayError):
        jobs.counts()
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(AwayError):
            jobs.counts()
        with pytest.raises(AwayError):
            jobs.add("a", {})
    assert time.monotonic() - begun < 3  # not three times the patience of what is begun again
    postgres.start()
    monkeypatch.setattr("zeroconv.database.postgres.BRIEF", 20)
    assert jobs.add("a", {}).state == "queued" and jobs.counts() == {"queued": 1}
    database.close()


@pytest.mark.parametrize("option", ["database", "study"])
def test_the_command_does_not_repeat_an_address(capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    for url in (f"mysql://a:{SECRET}@h/x", f"postgresql://a:{SECRET}@127.0.0.1:1/x"):
        if option == "study" and url.startswith("mysql"):
            continue
        assert main(["serve", f"--{option}", url, "--folder", str(tmp_path), "--port", "0"]) == 1
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err and said.err.count("\n") == 1


def test_tables_of_another_kind_or_version_are_refused(place: str) -> None:
    create_database(place, SERVICE).close()
    with pytest.raises(FileExistsError):
        create_database(place, SERVICE)
    assert database_exists(place, SERVICE)
    database = open_database(place, SERVICE)
    with database.write() as change:
        if database.is_shared:
            change.execute("UPDATE zeroconv SET version = 99")
        else:
            change.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="format 99; expected format 2"):
        open_database(place, SERVICE)


def test_a_filling_that_fails_leaves_nothing(place: str) -> None:
    def fill(change: object) -> None:
        raise InputError("a picture that cannot be read")

    with pytest.raises(InputError, match="cannot be read"):
        create_database(place, STUDY, fill)
    assert not database_exists(place, STUDY)


def test_both_keep_the_same_rules(place: str) -> None:
    database = create_database(place, SERVICE)
    jobs = JobStore(database)
    name = jobs.add("nul \0 letter", {"prompt": "a \0 b", "seed": 2**64 - 1, "text": "ä 🎨"}).id
    assert jobs.get(name).request == {"prompt": "a \0 b", "seed": 2**64 - 1, "text": "ä 🎨"}
    for statement in (
        "INSERT INTO job (id, client, state, created, request) VALUES (?, 'a', 'queued', 0, '')",
        "UPDATE job SET state = 'lost' WHERE id = ?",
    ):
        with pytest.raises(RuleError), database.write() as change:
            change.execute("DELETE FROM host")
            change.execute(statement, (name,))
    with pytest.raises(RuntimeError), database.write() as change:
        change.execute("DELETE FROM job")
        raise RuntimeError
    assert len(database.read("SELECT id FROM job WHERE id = ?", name)) == 1 and jobs.counts() == {"queued": 1}
    clock = float(database.read(f"SELECT {database.clock}")[0][0])
    assert abs(clock - time.time()) < 5
    database.close()


def test_a_restart_of_the_server_is_waited_for_and_said_once(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        database = create_database(f"{postgres.url}#restart", SERVICE)
        jobs, kept, failed = JobStore(database, "h"), list[str](), list[BaseException]()
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                try:
                    name = jobs.add("a", {}).id
                    kept.append(name)
                    assert jobs.begin(name) is not None
                    jobs.end(name, "done")
                    assert jobs.get(name).state == "done"
                except BaseException as error:
                    failed.append(error)
                    return

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(kept) < 5:
            time.sleep(0.01)
        postgres.stop()
        time.sleep(0.3)
        postgres.start()
        count = len(kept)
        while len(kept) < count + 10 and not failed:
            time.sleep(0.01)
        ended.set()
        for thread in threads:
            thread.join()
        assert not failed and sorted(kept) == sorted(row[0] for row in database.read("SELECT id FROM job"))
        assert jobs.counts() == {"done": len(kept)}
        database.close()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "is tried again" in said[0] and said[1].endswith("answers again")


def test_connections_that_one_loss_ended_are_said_once_however_late_they_are_used(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    import psycopg

    database = create_database(f"{postgres.url}#late", SERVICE)
    numbers: list[int] = []
    assert isinstance(database, PostgresDatabase)

    def number(connection: Any) -> int:
        return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])

    with caplog.at_level(logging.WARNING), pytest.raises(ConnectionError), database.connection() as first:
        with pytest.raises(ConnectionError), database.connection() as second:
            numbers.extend((number(first), number(second)))
            with psycopg.connect(postgres.url) as other:
                other.execute("SELECT pg_terminate_backend(unnest(%s))", (numbers,))
            second.execute("SELECT 1")
        with database.connection() as third:
            assert number(third) not in numbers
        first.execute("SELECT 1")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "is tried again" in said[0] and said[1].endswith("answers again")
    with caplog.at_level(logging.WARNING), pytest.raises(ConnectionError), database.connection() as fourth:
        with psycopg.connect(postgres.url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (number(fourth),))
        fourth.execute("SELECT 1")
    assert len(caplog.records) == 3 and "is tried again" in caplog.records[2].getMessage()  # made since: it is news
    database.close()


def test_a_file_of_the_first_version_is_brought_up_with_all_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "service.sqlite"
    jobs = JobStore(SQLiteDatabase.create(path, SERVICE))
    name = jobs.add("a", {"prompt": "x"}).id
    jobs.database.close()
    with sqlite3.connect(path) as connection:
        connection.executescript("ALTER TABLE job DROP COLUMN host; DROP TABLE host; PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        storage = Storage(tmp_path, None)
        assert [job.id for job in JobStore(storage.database).unfinished()] == [name]
        storage.close()


def test_a_folder_belongs_to_one_database(postgres: PostgresServer, tmp_path: Path) -> None:
    one, other = (f"{postgres.url}#folder{number}" for number in (1, 2))
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    first, second = Storage(shared, one), Storage(shared, one)  # two hosts
    assert first.host != second.host
    JobStore(first.database, first.host).add("a", {})
    first.close()
    second.close()
    for folder, url, said in (
        (shared, other, "belong to another database"),
        (shared, None, "belong to a database on a server"),
        (tmp_path / "new", one, "is not the folder of this database"),
    ):
        with pytest.raises(InputError, match=said):
            Storage(folder, url)
    Storage(alone, None).close()
    with pytest.raises(InputError, match=r"belong to service\.sqlite"):
        Storage(alone, one)
    assert PASSWORD not in (shared / ".database").read_text()
