"""Lists as tools write them: read to the same captions, or refused in one line with file and line."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeroconv.data import check, open_pairs
from zeroconv.data.folder_pairs import read_rows
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen

CAPTIONS = ["a café by the sea", "über den Fluß", "plain"]
ROWS: list[dict[str, Any]] = [{"file_name": f"{i}.png", "text": caption} for i, caption in enumerate(CAPTIONS)]


def write_lines(folder: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    path = folder / "metadata.jsonl"
    path.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode(encoding))
    return path


def captions(folder: Path) -> list[str]:
    return [row.captions[0] for row in read_rows(folder)]


def told(folder: Path) -> list[Message]:
    found = list[Message]()
    with listen(found.append):
        read_rows(folder)
    return found


@pytest.mark.parametrize(
    ("encoding", "text", "name", "line"),
    [
        ("cp1252", "a café by the sea", "CP1252", 2), ("latin-1", "Gänse über dem Fluß", "CP1252", 2),
        ("gbk", "一只红色的猫坐在窗台上", "GBK", 2), ("shift_jis", "赤い猫が窓に座っている", "SHIFT_JIS", 2),
        ("cp1251", "красный кот сидит на окне", "CP1251", 2), ("utf-16", "a café", "UTF-16", 1),
        ("utf-16-le", "a café", "UTF-16", 1), ("utf-16-be", "a café", "UTF-16", 1), ("utf-32", "a café", "UTF-32", 1),
    ],
)  # fmt: skip
def test_other_encodings_are_named(tmp_path: Path, encoding: str, text: str, name: str, line: int) -> None:
    path = write_lines(tmp_path, [ROWS[2], {"file_name": "1.png", "text": text}], encoding)
    with pytest.raises(InputError) as caught:
        check(tmp_path)
    assert str(caught.value).startswith(f"{path}, line {line}: not UTF-8, probably {name}: save it as UTF-8")
    assert text.encode(encoding).decode(name) == text or name.startswith("UTF")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_utf_8_with_any_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    text = ends.join(json.dumps(row, ensure_ascii=False) for row in ROWS) + ends
    (tmp_path / "metadata.jsonl").write_bytes(text.encode(encoding))
    assert captions(tmp_path) == CAPTIONS


def test_lost_letters_are_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path, [ROWS[2], {"file_name": "1.png", "text": "a gr\ufffdn tree"}])
    (message,) = told(tmp_path)
    assert message.code == "data.lost-letters" and message.text.startswith(f"{path}, line 2: ")


@pytest.mark.parametrize("value", [{"en": "a cat"}, 7, True, ["a", 3], [["a"]], ["a", None]])
def test_captions_that_are_no_text(tmp_path: Path, value: object) -> None:
    path = write_lines(tmp_path, [ROWS[0], {"file_name": "1.png", "text": value}])
    with pytest.raises(InputError, match="expected a caption, or a list of captions") as caught:
        read_rows(tmp_path)
    assert str(caught.value).startswith(f"{path}, line 2: text is ") and "\n" not in str(caught.value)


def test_several_captions(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    write_lines(tmp_path, [{"file_name": "0.png", "text": ["a", "b"]}, {"file_name": "0.png", "text": []}])
    with listen(lambda _: None):
        pairs = open_pairs(tmp_path, "canny")
    assert (pairs[0].caption, pairs[0].captions, pairs.max_captions) == ("a", ("a", "b"), 2)
    assert (pairs[1].caption, pairs[1].captions) == ("", ("",))


def test_an_array(tmp_path: Path) -> None:
    for indent in (None, 1):
        rows = [{"target": f"t/{i}.png", "source": f"s/{i}.png", "prompt": text} for i, text in enumerate(CAPTIONS)]
        (tmp_path / "prompt.json").write_text(json.dumps(rows, indent=indent, ensure_ascii=False), "utf-8")
        assert captions(tmp_path) == CAPTIONS
    assert read_rows(tmp_path)[1].where == f"{tmp_path / 'prompt.json'}, line 7"
    assert read_rows(tmp_path)[0].maps == {"*": tmp_path / "s/0.png"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"target": "a"},\n7]', "line 1 has no 'source'"), ("[7]", "line 1 is int; expected an object"),
        ('[\n{"target": "a", "source": "b"}', "line 2: the array is not closed"),
        ('[\n{"target": "a", "source": "b"}\n{}]', "line 3 is not valid JSON: the array goes on without a comma"),
        ('[{"target": "a", "source": "b"}]\n\n7', "line 3 is not valid JSON: text after the array"),
        ("[" * 100_000, "line 1 is not valid JSON"), ("[]", "lists no pairs"),
    ],
)  # fmt: skip
def test_broken_arrays_name_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "prompt.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path: Path, delimiter: str) -> None:
    with (tmp_path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerow(["file_name", "text", "depth"])
        table.writerows([[f"{i}.png", f'{text}, "quoted"\nsecond line', f"d{i}.png"] for i, text in enumerate(CAPTIONS)])
        table.writerow(["3.png", "", ""])
    rows = read_rows(tmp_path)
    assert [row.captions[0] for row in rows] == [*(f'{text}, "quoted"\nsecond line' for text in CAPTIONS), ""]
    assert rows[1].maps == {"depth": tmp_path / "d1.png"} and rows[1].where.endswith("metadata.csv, line 4")
    assert not rows[3].maps
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,one, two\n")
    with pytest.raises(InputError, match=r"line 2 has 3 cells and the header 2: a\.png, one,  two: put cells with commas"):
        read_rows(tmp_path)


@pytest.mark.parametrize("maps", ["conditioning", "canny", "Canny-Maps", "control"])
@pytest.mark.parametrize("pictures", ["images", "."])
def test_captions_in_text_files(tmp_path: Path, pictures: str, maps: str) -> None:
    maps = maps.replace("-Maps", "_map")
    for folder in (pictures, maps):
        (tmp_path / folder).mkdir(exist_ok=True)
    for i, text in enumerate(CAPTIONS):
        Image.new("RGB", (8, 8)).save(tmp_path / pictures / f"{i}.jpg")
        Image.new("RGB", (8, 8)).save(tmp_path / maps / f"{i}.png")
        (tmp_path / pictures / f"{i}.txt").write_text(text + "\n", "utf-8")
    rows = read_rows(tmp_path)
    assert [row.captions for row in rows] == [(text,) for text in CAPTIONS]
    assert all(row.maps == {"canny" if "anny" in maps else "*": tmp_path / maps / f"{i}.png"} for i, row in enumerate(rows))
    (tmp_path / pictures / "1.txt").write_bytes("café".encode("cp1252"))
    with pytest.raises(InputError, match=r"1\.txt, line 1: not UTF-8, probably CP1252"):
        read_rows(tmp_path)


def test_windows_paths(tmp_path: Path) -> None:
    write_lines(tmp_path, [{"file_name": r"a\b.png", "depth": r"maps\b.png"}])
    (row,) = read_rows(tmp_path)
    assert (row.image, row.maps) == (tmp_path / "a/b.png", {"depth": tmp_path / "maps/b.png"})
    for path in (r"..\b.png", r"C:\b.png", r"\\host\b.png", "C:b.png", "a\0.png", "\ud800.png"):
        (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": path}))
        with pytest.raises(InputError, match=r"line 1: file_name (is|holds)"):
            read_rows(tmp_path)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("conditioning", "*"), ("conditioning_image", "*"), ("control_image", "*"), ("hint", "*"), ("Depth", "depth"),
        ("depth_map", "depth"), ("depth_image", "depth"), ("soft_edge", "soft-edge"), ("hed_file_name", "soft-edge"),
        ("conditioning_image_file_name", "*"),
    ],
)  # fmt: skip
def test_names_of_columns(tmp_path: Path, key: str, name: str) -> None:
    write_lines(tmp_path, [{"image": "a.png", "caption": "c", key: "m.png"}])
    assert told(tmp_path) == []
    (row,) = read_rows(tmp_path)
    assert (row.name, row.captions, row.maps) == ("a.png", ("c",), {name: tmp_path / "m.png"})


def test_unknown_columns_and_pictures_listed_twice_are_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path, [{**ROWS[0], "laplacian": "m.png", "empty": None}, ROWS[1], ROWS[0]])
    unknown, repeated = told(tmp_path)
    assert unknown.code == "data.unknown-column" and f"'laplacian' ({path}, line 1)" in unknown.text
    assert "empty" not in unknown.text
    assert repeated.code == "data.duplicate" and repeated.text.startswith(f"{path}, line 3: '0.png' was listed before")


VALID = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in ROWS)
MUTATIONS: list[Callable[[random.Random], bytes]] = [
    lambda draw: draw.randbytes(draw.randrange(300)),
    lambda draw: VALID[: draw.randrange(len(VALID))],
    lambda draw: replace_bytes(VALID, draw, draw.randbytes(1)),
    lambda draw: replace_bytes(
        VALID, draw, draw.choice([b"\0", b"\r", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\\", b"}"])
    ),
    lambda draw: replace_bytes(VALID, draw, draw.choice([rb"\ud800", rb"\u0000", b"\xed\xa0\x80", b"NaN", b"9" * 5000])),
    lambda draw: VALID.decode().encode(draw.choice(["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "cp037"])),
    lambda draw: VALID + b"\n" + draw.choice([b"[", b'{"a":', b"-", b'"']) * draw.choice([3, 200_000]),
    lambda draw: b'{"file_name": "' + b"a" * draw.choice([10, 1_000_000]) + b'", "text": "' + b"b" * 1_000_000 + b'"}',
    lambda draw: VALID.replace(b"\n", draw.choice([b"\r", b"\r\n", b"\n\n", b"\x85", b"\x0b", b" ", b",\n"])),
    lambda draw: b"[" + VALID.replace(b"\n", b",") + draw.choice([b"]", b"", b",]", b"]]", b"]\n{}"]),
]


def replace_bytes(data: bytes, draw: random.Random, new: bytes) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + new + data[place + draw.randrange(3) :]


@pytest.mark.parametrize("name", ["metadata.jsonl", "prompt.json", "metadata.csv"])
def test_any_bytes_are_rows_or_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for seed in range(400):
        draw = random.Random(seed)
        path.write_bytes(MUTATIONS[seed % len(MUTATIONS)](draw))
        try:
            with listen(lambda _: None):
                rows = read_rows(tmp_path)
        except InputError as error:
            line = str(error)
            assert "\n" not in line and len(line) < 1000, seed
            assert f"{path}, line " in line or line == f"{tmp_path} lists no pairs", (seed, line)
        else:
            for row in rows:
                assert isinstance(row.image, Path) and row.image.is_relative_to(tmp_path)
                assert all(caption.encode() is not None for caption in row.captions)
