"""What outlives the process: pictures under their own digest, jobs, a gallery that is searched by words."""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeroconv.database import SQLiteDatabase, create_database
from zeroconv.errors import InputError
from zeroconv.service import MissingError, ServiceError
from zeroconv.service.gallery import Gallery
from zeroconv.service.jobs import JobStore
from zeroconv.service.pictures import PictureStore
from zeroconv.service.requests import store_picture
from zeroconv.service.schema import SERVICE

HOSTILE = ("", "..", "../../etc/passwd", "/etc/passwd", "a" * 63, "A" * 64, "0" * 64 + "/..", "%2e%2e", "\0" * 64, "0" * 64)


def encoded(kind: str = "PNG", size: tuple[int, int] = (8, 6), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> PictureStore:
    return PictureStore(tmp_path / "pictures")


@pytest.fixture
def jobs(place: str) -> Iterator[JobStore]:
    database = create_database(place, SERVICE)
    yield JobStore(database)
    database.close()


@pytest.fixture
def gallery(jobs: JobStore, pictures: PictureStore) -> Gallery:
    return Gallery(jobs.database, pictures)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_same_bytes_are_one_picture(pictures: PictureStore, kind: str) -> None:
    content = encoded(kind)
    stored = pictures.add(content)
    assert stored == pictures.add(content) and (stored.width, stored.height) == (8, 6)
    assert stored.id == hashlib.sha256(content).hexdigest() and pictures.read(stored.id) == content
    assert not list(pictures.incoming.iterdir())
    png = pictures.read_png(stored.id)
    assert png.startswith(b"\x89PNG") and (png == content) == (kind == "PNG")
    preview = Image.open(io.BytesIO(pictures.read_preview(stored.id, 4)))
    assert preview.format == "WEBP" and preview.size == (4, 3)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_but_an_id_leads_anywhere(pictures: PictureStore, gallery: Gallery, name: str) -> None:
    for read in (pictures.read, pictures.path, pictures.read_png, gallery.get, gallery.remove):
        with pytest.raises(MissingError):
            read(name)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"x" * 1000, encoded()[:20]])
def test_what_is_no_picture_is_not_kept(pictures: PictureStore, content: bytes) -> None:
    with pytest.raises(InputError):
        pictures.add(content)
    assert not [path for path in pictures.folder.rglob("*") if path.is_file()]


def test_a_full_disk_keeps_nothing_half(pictures: PictureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space"):
        pictures.add(encoded())
    assert not [path for path in pictures.folder.rglob("*") if path.is_file()]


def test_what_nobody_uses_goes_after_a_while(pictures: PictureStore) -> None:
    used, old, new = (pictures.add(encoded(colour=colour)).id for colour in ("red", "green", "blue"))
    for name in (used, old):
        os.utime(pictures.path(name), (0, 0))
    (pictures.incoming / "half").write_bytes(b"x")
    pictures.empty()
    assert pictures.sweep({used}, older=60) == 1
    assert pictures.path(used) and pictures.path(new) and not list(pictures.incoming.iterdir())
    with pytest.raises(MissingError):
        pictures.path(old)


def result(pictures: PictureStore, number: int) -> dict[str, Any]:
    stored = pictures.add(encoded(size=(8 + number, 8)))
    return {"picture": stored.id, "seed": 2**64 - 1 - number, "width": stored.width, "height": 8, "controls": []}


def test_the_gallery_is_searched_by_words_and_turned_page_by_page(
    jobs: JobStore, gallery: Gallery, pictures: PictureStore
) -> None:
    prompts = ["a red house", "A RED tree", "100% wool", "100 red_house", "back\\slash", "ein ÄHRENFELD"]
    job = jobs.add("me", {"prompt": "any"})
    made = [result(pictures, i) for i in range(len(prompts))]
    for one, prompt in zip(made, prompts, strict=True):
        gallery.add(job.id, one, {"prompt": prompt})

    def found(query: str) -> list[str]:
        return [row["prompt"] for row in gallery.find(query).pictures]

    assert found("") == prompts[::-1] and found("red house") == ["100 red_house", "a red house"]
    assert found("0%") == ["100% wool"] and found("d_h") == ["100 red_house"] and found("\\s") == ["back\\slash"]
    assert found("' OR 1=1 --") == [] and found("house a") == ["a red house"]
    assert found("ährenfeld") == found("ÄHREN") == ["ein ÄHRENFELD"]
    seen, before = list[str](), None
    while True:
        page = gallery.find("", before, 2)
        seen += [row["prompt"] for row in page.pictures]
        if (before := page.next) is None:
            break
    assert seen == prompts[::-1]
    assert gallery.get(made[0]["picture"])["seed"] == 2**64 - 1
    gallery.remove(made[0]["picture"])
    with pytest.raises(MissingError):
        pictures.path(made[0]["picture"])
    assert len(found("")) == 5 and len(jobs.get(job.id).results) == 6


def test_the_same_picture_made_again_is_the_newest(jobs: JobStore, gallery: Gallery, pictures: PictureStore) -> None:
    job, (first, second) = jobs.add("me", {"prompt": "any"}), (result(pictures, i) for i in range(2))
    for one in (first, second, first):
        gallery.add(job.id, one, {"prompt": "a"})
    assert [row["id"] for row in gallery.find().pictures] == [first["picture"], second["picture"]]


def attempts(jobs: JobStore, name: str) -> int:
    """Begin a job; how often it was begun."""
    begun = jobs.begin(name)
    assert begun is not None
    return begun.attempts


def test_the_oldest_go_where_a_number_is_kept(jobs: JobStore, gallery: Gallery, pictures: PictureStore) -> None:
    job, made = jobs.add("a", {}).id, [result(pictures, number) for number in range(5)]
    overlays = [pictures.add(encoded(size=(90 + number, 8))).id for number in range(5)]
    for one, overlay in zip(made, overlays, strict=True):
        one["controls"] = [{"map": "0" * 64, "overlay": overlay}, {"map": "0" * 64, "overlay": None}]
        needs = {"prompt": "x", "init_image": f"picture:{made[0]['picture']}"} if one is made[4] else {"prompt": "x"}
        gallery.add(job, one, needs)
    jobs.end(job, "done")
    assert gallery.trim(5) == 0 and gallery.trim(2) == 3 and gallery.trim(2) == 0
    assert [row["id"] for row in gallery.find().pictures] == [made[4]["picture"], made[3]["picture"]]
    assert [pictures.place(one["picture"]).exists() for one in made] == [True, False, False, True, True]  # one is needed
    assert [pictures.place(one).exists() for one in overlays] == [False, False, False, True, True]
    ended = [jobs.add("a", {}).id for _ in range(4)]
    for name in ended:
        jobs.end(name, "done")
    jobs.trim(2)
    assert jobs.counts() == {"done": 2} and jobs.get(ended[3]).state == jobs.get(ended[2]).state == "done"


def test_a_job_that_has_ended_stays_as_it_is(jobs: JobStore) -> None:
    first, second = jobs.add("me", {"prompt": "a"}), jobs.add("you", {"prompt": "b"})
    assert [job.id for job in jobs.unfinished()] == [first.id, second.id]
    assert attempts(jobs, first.id) == 1 and attempts(jobs, first.id) == 2
    jobs.end(first.id, "cancelled")
    jobs.end(first.id, "done")
    jobs.put_back(first.id, 0)
    assert jobs.get(first.id).state == "cancelled" and [job.id for job in jobs.unfinished()] == [second.id]
    jobs.forget(older=-1)
    with pytest.raises(MissingError):
        jobs.get(first.id)
    assert jobs.get(second.id).state == "queued"


def test_a_picture_that_something_else_needs_outlives_its_place_in_the_gallery(
    jobs: JobStore, gallery: Gallery, pictures: PictureStore
) -> None:
    stored = [result(pictures, number) for number in range(3)]
    first, second, third = (one["picture"] for one in stored)
    job = jobs.add("a", {"prompt": "x"}).id
    needs = {"prompt": "x", "controls": [{"network": "n", "condition": f"picture:{first}"}]}
    gallery.add(job, stored[0], {"prompt": "x"})
    gallery.add(job, stored[1], needs)
    gallery.add(job, stored[2], {"prompt": "x"})
    waiting = jobs.add("a", {"prompt": "x", "init_image": f"picture:{third}"}).id
    for name in (first, third):
        gallery.remove(name)
        assert pictures.path(name).is_file()
    gallery.remove(second)
    assert not pictures.place(second).exists()
    jobs.end(waiting, "done")
    gallery.add(job, stored[2], {"prompt": "x"})
    gallery.remove(third)
    assert not pictures.place(third).exists()


def test_what_is_being_written_is_not_swept_and_what_was_asked_for_counts_as_sent(pictures: PictureStore) -> None:
    old = pictures.add(encoded()).id
    os.utime(pictures.path(old), (0, 0))
    store_picture(f"picture:{old}", "image", pictures)
    part, torn = pictures.incoming / "new", pictures.incoming / "old"
    for path in (part, torn):
        path.write_bytes(b"x")
    os.utime(torn, (0, 0))
    assert pictures.sweep(set(), older=60) == 0
    assert pictures.path(old) and part.exists() and not torn.exists()


def test_a_picture_that_cannot_be_written_leaves_nothing(pictures: PictureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        pictures.add(encoded())
    assert not [path for path in pictures.folder.rglob("*") if path.is_file()]


def test_a_search_that_takes_long_is_given_up_and_keeps_nobody_waiting(
    jobs: JobStore, gallery: Gallery, pictures: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.add("a", {}).id
    for number in range(30):
        gallery.add(job, result(pictures, number), {"prompt": "a" * 10_000})
    with gallery.database.write(), ThreadPoolExecutor(1) as other:  # somebody writes
        assert len(other.submit(gallery.find, "aa").result(10).pictures) == 30
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError):
        gallery.database.search(endless, seconds=0.05)
    search = gallery.database.search
    monkeypatch.setattr(gallery.database, "search", lambda *_, seconds: search(endless, seconds=0.05))
    with pytest.raises(ServiceError) as caught:
        gallery.find("a" * 499 + "b")
    assert caught.value.failure.code == "deadline" and caught.value.failure.field == "query"


def test_a_file_whose_making_was_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "service.sqlite"
    (tmp_path / "service.sqlite.new").write_bytes(b"torn")
    with monkeypatch.context() as patch:
        patch.setattr("zeroconv.database.sqlite.connect", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            SQLiteDatabase.create(path, SERVICE)
    assert not path.exists()
    SQLiteDatabase.create(path, SERVICE).close()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        SQLiteDatabase.create(path, SERVICE)
