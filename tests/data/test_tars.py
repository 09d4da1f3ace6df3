"""Tars are indexed once and read in place: hostile, broken and cut ones are refused in one line, and nothing is extracted."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.data import layouts
from tests.data.layouts import Sample, assert_rows_or_one_line, mutated, refusal, samples, tar, with_text, write_tar
from zeroconv.data import open_pairs
from zeroconv.data import tar_index as index_module
from zeroconv.data.layouts import read_rows
from zeroconv.data.tar_index import INDEX_ENDING, list_members
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen


@pytest.fixture(scope="module")
def made() -> list[Sample]:
    return samples(5)


def with_members(path: Path, *members: tuple[tarfile.TarInfo | str, bytes], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as file:
        for info, data in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def of_type(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def test_members_lie_where_the_standard_library_finds_them(tmp_path: Path, made: Sequence[Sample]) -> None:
    long = "a" * 90 + "/" + "b" * 90 + "/" + "ü" * 60 + "/c.png"
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        names = ["x.png", "./y/z.jpg", "folder/"] + ([] if form == tarfile.USTAR_FORMAT else [long])
        infos = [of_type(name, tarfile.DIRTYPE) if name.endswith("/") else tarfile.TarInfo(name) for name in names]
        with_members(path, *((info, b"" if info.isdir() else made[0].picture) for info in infos), form=form)
        with tarfile.open(path) as file:
            expected = [(one.name.removeprefix("./"), one.offset_data, one.size) for one in file if one.isfile()]
        assert [(one.name, one.offset, one.size) for one in list_members(path)[0]] == expected


def test_sizes_beyond_eight_gigabytes(tmp_path: Path) -> None:
    size, path = 9 * 2**30, tmp_path / "large.tar"
    info = tarfile.TarInfo("a.png")
    info.size = size
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with path.open("wb") as file:
            file.write(info.tobuf(form))
            file.truncate(file.tell() + size + 1024)  # a hole: nothing is written
        (member,) = list_members(path)[0]
        assert member.size == size


def test_the_index_is_made_once(tmp_path: Path, made: Sequence[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(tar(tmp_path / "pairs", made))
    rows, index = read_rows(path), path.with_name(path.name + INDEX_ENDING)
    assert index.is_file() and sorted(path.parent.iterdir()) == [path, index]
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "scan", None)
        assert read_rows(path) == rows
    write_tar(path, samples(4), with_text, tarfile.USTAR_FORMAT)
    assert len(read_rows(path)) == 4  # another tar
    os.utime(path, ns=(1, 1))
    assert read_rows(path)[0] != rows[0]  # another time


@pytest.mark.parametrize("key", ["members", "version", "size"])
@pytest.mark.parametrize(
    "value",
    [
        None, [], 1, [["a.png", 10, 5]], [["../a.png", 512, 5]], [["a.png", 512, 10**9]], [["a.txt", 512, 5]],
        [["a.png", 512, 5, "x"]],
    ],
)  # fmt: skip
def test_an_index_that_is_not_ours_is_left_aside(tmp_path: Path, made: Sequence[Sample], key: str, value: object) -> None:
    path = Path(tar(tmp_path / "pairs", made))
    index = path.with_name(path.name + INDEX_ENDING)
    rows = read_rows(path)
    index.write_text(json.dumps({**json.loads(index.read_text()), key: value}))
    assert read_rows(path) == rows
    for text in ("", "[" * 100_000, "7", "{}"):
        index.write_text(text)
        assert read_rows(path) == rows


def test_a_place_where_nothing_can_be_written(tmp_path: Path, made: Sequence[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, text: str) -> None:
        raise OSError(f"cannot write {path}: Read-only file system")

    monkeypatch.setattr(index_module, "write_text", refuse)
    path = Path(tar(tmp_path / "pairs", made))
    assert len(open_pairs(path, "canny")) == 5 and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.png", tarfile.SYMTYPE, "holds 'a.png', a link: expected plain files"), ("a.png", tarfile.LNKTYPE, "a link"),
        ("a.png", tarfile.CHRTYPE, "a device"), ("a.png", tarfile.BLKTYPE, "a device"), ("a.png", tarfile.FIFOTYPE, "a pipe"),
        ("a.png", b"Z", "of type 'Z'"), ("../a.png", tarfile.REGTYPE, "holds '../a.png': expected paths inside the tar"),
        ("/etc/a.png", tarfile.REGTYPE, "holds '/etc/a.png'"), ("a/../../b.png", tarfile.REGTYPE, "holds 'a/../../b.png'"),
        ("C:\\a.png", tarfile.REGTYPE, "holds 'C:"), ("..\\a.png", tarfile.REGTYPE, "holds '.."),
    ],
)  # fmt: skip
def test_members_that_are_no_plain_file_inside(tmp_path: Path, name: str, kind: bytes, message: str) -> None:
    path = with_members(tmp_path / "pairs.tar", ("good.png", b"x"), (of_type(name, kind), b""))
    assert refusal(path).startswith(f"{path} ") and message in refusal(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["pairs.tar", "pairs.tar.gz", "pairs.tgz"])
def test_compressed_tars(tmp_path: Path, made: Sequence[Sample], pack: Callable[[bytes], bytes], name: str) -> None:
    whole = write_tar(tmp_path / "whole.tar", made, with_text, tarfile.USTAR_FORMAT).read_bytes()

    (tmp_path / name).write_bytes(pack(whole))
    assert "which leaves no random access: decompress it to a .tar" in refusal(tmp_path / name)


def test_every_cut_is_noticed(tmp_path: Path, made: Sequence[Sample]) -> None:
    path = write_tar(tmp_path / "pairs.tar", made[:2], with_text, tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    end = max(i for i, byte in enumerate(whole) if byte) // 512 * 512 + 512
    for length in [0, 1, 511, *range(512, end, 512), *range(700, end, 977)]:
        path.write_bytes(whole[:length])
        line = refusal(path)
        assert str(path) in line and ("it was cut short, copy it again" in line or length < 512), (length, line)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.txt", b"x")], "sample 'a' has no picture; it has text: name it KEY.png"),
        ([("d/a.canny.png", b"x")], "sample 'd/a' has no picture; it has canny"),
        ([("a.png", b"x"), ("a.jpg", b"x")], "sample 'a' has two members for its image: rename one of them"),
        ([("a.png", b"x"), ("a.cond.png", b"x"), ("a.hint.png", b"x")], "has two members for its conditioning"),
        ([("a.png", b"x"), ("a.json", b"[1]")], "sample 'a': its json is list; expected an object"),
        ([("a.png", b"x"), ("a.json", b"{")], "sample 'a': its json is not valid JSON"),
        ([("a.png", b"x"), ("a.json", b'{"text": 7}')], "sample 'a': text is int (7); expected a caption"),
        ([("a.png", b"x"), ("a.txt", "café".encode("latin-1"))], "pairs.tar/a.txt, line 1: not UTF-8, probably CP1252"),
        ([("a.png", b"x"), ("a.txt", b"x" * 2_000_000)], "holds 'a.txt' of 2000000 bytes: expected captions of at most"),
        ([("notes.md", b"x")], "lists no pairs"), ([], "lists no pairs"),
    ],
)  # fmt: skip
def test_samples_that_are_wrong(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    path = with_members(tmp_path / "pairs.tar", *members)
    assert message in refusal(path) and str(path) in refusal(path)


def test_what_else_lies_in_a_tar(tmp_path: Path, made: Sequence[Sample]) -> None:
    one = made[0]
    members = [
        ("._a.png", b"x"),
        ("a.png", one.picture),
        ("a.seg.png", one.drawn),
        ("a.json", b'{"caption": ["b", "c"], "url": "d"}'),
    ]
    path = with_members(tmp_path / "pairs.tar", *members, ("a.cls", b"7"), ("a.mask.png", one.drawn), ("README.md", b"x"))
    found = list[Message]()
    with listen(found.append):
        (row,) = read_rows(path)
    assert (row.name, row.captions, list(row.maps)) == ("pairs.tar/a.png", ("b", "c"), ["segmentation"])
    assert [message.code for message in found] == ["data.unknown-column"]
    assert all(word in found[0].text for word in ("'.cls'", "'mask'", "'.md'"))


def test_lost_letters_are_told_from_an_index_too(tmp_path: Path, made: Sequence[Sample]) -> None:
    path = with_members(tmp_path / "pairs.tar", ("a.png", made[0].picture), ("a.txt", "a gr\ufffdn tree".encode()))
    for _ in range(2):
        found = list[Message]()
        with listen(found.append):
            read_rows(path)
        assert [message.code for message in found] == ["data.lost-letters"]
        assert found[0].text.startswith(f"{path / 'a.txt'}, line 1: ")


def test_ranges_of_shards(tmp_path: Path, made: Sequence[Sample]) -> None:
    folder = Path(layouts.tar_folder(tmp_path / "pairs", made))
    assert f"cannot read {folder / 'shard-003.tar'}: No such file" in refusal(f"{folder}/shard-{{000..003}}.tar")
    for name in ("{3..1}", "{0..999999}", "{0..1}{0..1}"):
        assert "expected one range such as {000..003}" in refusal(f"{folder}/shard-{name}.tar")


def test_any_bytes_are_pairs_or_one_line(tmp_path: Path, made: Sequence[Sample]) -> None:
    """Most changes are made to headers, where they matter, and half of those with a sum that is right again."""
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    wholes = [
        with_members(tmp_path / "whole.tar", ("ü" * 110 + ".png", made[0].picture), ("a.txt", b"b"), form=form).read_bytes()
        for form in forms[1:]
    ]
    wholes.append(write_tar(tmp_path / "whole.tar", made[:2], with_text, forms[0]).read_bytes()[:12_000])
    (tmp_path / "whole.tar").unlink()
    path = tmp_path / "pairs.tar"
    for seed in range(400):
        draw = random.Random(seed)
        whole = draw.choice(wholes)
        start = 512 * draw.randrange(6)
        data = bytearray(mutated(whole, draw, whole[start : start + 512]))
        if draw.random() < 0.5 and len(data) >= start + 512:
            header = data[start : start + 512]
            header[148:156] = b" " * 8
            data[start + 148 : start + 156] = f"{sum(header):06o}\0 ".encode()
        path.write_bytes(data)
        assert_rows_or_one_line(path)
        assert {one.name for one in tmp_path.iterdir()} <= {path.name, path.name + INDEX_ENDING}


def test_a_hundred_gigabytes_of_nothing_is_no_work(tmp_path: Path) -> None:
    path = with_members(tmp_path / "pairs.tar", ("a.png", b"x"))
    with path.open("r+b") as file:
        file.truncate(100 * 2**30)
    assert len(list_members(path)[0]) == 1


def test_long_headers_are_not_read(tmp_path: Path) -> None:
    info = of_type("././@LongLink", b"L")
    info.size = 2**30
    path = tmp_path / "pairs.tar"
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**31)
    with pytest.raises(InputError, match="has a header of 1073741824 bytes at byte 512"):
        list_members(path)
