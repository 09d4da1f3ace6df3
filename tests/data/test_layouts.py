"""Every layout gives the same pairs; what is broken in one is said in one line with file and place."""

import io
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.data import layouts
from tests.data.layouts import LAYOUTS, Sample, assert_rows_or_one_line, hugging_face, mutated, parquet, refusal, samples, tar
from zeroconv.cli import main
from zeroconv.data import check, get_map, open_pairs
from zeroconv.data import parquet as parquet_module
from zeroconv.data.layouts import read_rows
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen

Write = Callable[[Path, Sequence[Sample]], str]


@pytest.fixture(scope="module")
def made() -> list[Sample]:
    return samples(50)


def told(spec: str | Path) -> list[Message]:
    found = list[Message]()
    with listen(found.append):
        read_rows(spec)
    return found


def assert_same(spec: str, made: Sequence[Sample]) -> None:
    pairs = open_pairs(spec, "canny")
    assert len(pairs) == len(set(pairs.names)) == len(made)
    for pair, one in zip((pairs[i] for i in range(len(pairs))), made, strict=True):
        assert pair.caption == one.caption
        assert pair.image.tobytes() == Image.open(io.BytesIO(one.picture)).tobytes()
        assert get_map(pair, "canny", {}).tobytes() == Image.open(io.BytesIO(one.drawn)).tobytes()


@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_the_same_pairs_in_every_layout(tmp_path: Path, made: list[Sample], write: Write) -> None:
    spec = write(tmp_path / "pairs", made)
    for _ in range(2):  # the second time from an index, where there is one
        assert_same(spec, made)
    report, sheet = check(spec)
    assert (report.pairs, report.good, report.problems, report.condition) == (50, 50, [], "canny")
    assert (report.sizes, report.maps, report.captions.count) == ({"16x16": 50}, {"canny": 50}, 50)
    assert sheet is not None and json.dumps(report.to_json())


@pytest.mark.parametrize("write", [layouts.parquet_folder, layouts.saved_splits])
def test_a_split_in_brackets(tmp_path: Path, made: list[Sample], write: Write) -> None:
    spec = write(tmp_path / "pairs", made)
    assert_same(f"{spec}[test]", made[:3])
    assert "no split 'other'; it has test, train" in refusal(f"{spec}[other]")
    assert "no split" in refusal(f"{layouts.saved(tmp_path / 'one', made[:2])}[test]")


def test_a_hub_name(tmp_path: Path, made: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    from datasets import Dataset

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    layouts.parquet_folder(tmp_path / "owner" / "name", made)
    assert_same("hub:owner/name", made)
    assert_same("hub:owner/name[test]", made[:3])
    layouts.jsonl(tmp_path / "owner" / "files", made)
    assert_same("hub:owner/files", made)  # a table of paths, which lie in the data set's own folder
    asked = list[Any]()
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or Dataset.from_dict({"image": ["a.png"]}))
        assert "hub:owner/gone, row 0 has only a path, a.png, for a picture" in refusal("hub:owner/gone")
        refusal("hub:owner/gone/large@1a2b[test]")
    assert asked == [
        (("owner/gone", None), {"split": "train", "revision": None}),
        (("owner/gone", "large"), {"split": "test", "revision": "1a2b"}),
    ]
    assert "hub:owner/name[other] cannot be opened: Unknown split" in refusal("hub:owner/name[other]")
    for name in ("hub:", "hub:name", "hub:../x", "hub:a/b/c/d", "hub:/etc/passwd"):
        assert "expected hub:owner/name" in refusal(name)


def test_no_code_of_a_data_set_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "code").mkdir(parents=True)
    (tmp_path / "owner" / "code" / "code.py").write_text("open('ran', 'w')\nimport datasets\n", "utf-8")
    assert "hub:owner/code cannot be opened" in refusal("hub:owner/code")
    assert not list(tmp_path.rglob("ran"))


def test_pictures_without_anything_else(tmp_path: Path, made: list[Sample]) -> None:
    layouts.write_files(tmp_path, made[:8], ".", "spare")
    (tmp_path / "spare").rename(tmp_path.parent / "spare")
    pairs = open_pairs(tmp_path, "canny")
    assert [pairs[i].caption for i in range(8)] == [""] * 8 and not pairs[0].maps
    assert get_map(pairs[0], "canny", {}).size == (16, 16)
    report, _ = check(tmp_path)
    assert (report.good, report.empty_captions, report.problems) == (8, 8, [])
    assert report.captions.line() == "captions: 8, all empty"


def test_numbers_of_folders_repeat_nothing_and_that_is_said(tmp_path: Path, made: list[Sample]) -> None:
    for folder, sample in zip(("img/10_red house", "img/2_car", "img/house_3"), made, strict=False):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").write_bytes(sample.picture)
    (message,) = told(tmp_path)
    assert message.code == "data.numbered-folder" and "number of 10_red house, 2_car repeats nothing" in message.text
    with listen(lambda _: None):
        assert len(read_rows(tmp_path)) == 3


def test_scenes_of_the_world_are_checked_too() -> None:
    report, sheet = check("world:7", "depth", held_out=2)
    assert (report.folder, report.good, report.maps, report.sizes) == ("world:7", 7, {"depth": 7}, {"128x128": 7})
    assert report.problems == [] and report.captions.empty == 0 and sheet is not None


def test_captions_are_counted(tmp_path: Path, made: list[Sample]) -> None:
    texts = ["", "a cat", "a cat", "a cat", "one two three", "word " * 76]
    made = [Sample(s.key, s.picture, s.drawn, text) for s, text in zip(made, texts, strict=False)]
    captions = check(layouts.jsonl(tmp_path / "pairs", made))[0].captions
    assert (captions.count, captions.empty, captions.median_words, captions.max_words) == (6, 1, 2, 76)
    assert captions.mean_words == pytest.approx(17) and captions.over_75_tokens == pytest.approx(0.2)
    assert (captions.most_frequent, captions.repeats) == ("a cat", 3)
    assert captions.line().endswith("; 20.0% over 75 tokens; 'a cat' occurs 3 times")


def test_the_command_reads_every_layout(tmp_path: Path, made: list[Sample], capsys: pytest.CaptureFixture[str]) -> None:
    spec = tar(tmp_path / "pairs", made)
    assert main(["data", "check", spec, "--json", "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["good"], found["captions"]["count"], found["folder"]) == (50, 50, spec)


# Tables


def test_pyarrow_is_an_extra(tmp_path: Path, made: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [parquet(tmp_path / "one", made[:2]), layouts.saved(tmp_path / "two", made[:2]), "hub:owner/name"]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for spec in specs:
        assert refusal(spec).endswith("is read with pyarrow, which is not installed: pip install 'zeroconv[datasets]'")


def write_table(path: Path, **columns: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"]}, "has no column of pictures; it has text: call it image"),
        ({"image": [3]}, "column 'image' is of type int64: expected pictures as bytes"),
        ({"image": [b"x"], "depth": [1.5]}, "column 'depth' is of type double: expected pictures as bytes"),
        ({"image": [b"x"], "text": [7]}, "row 0: text is int (7); expected a caption"),
        ({"image": [b"x", None]}, "row 1 has no 'image'; it has image"),
        ({"image": ["../../secret.png"]}, "row 0: image is '../../secret.png'; expected a path inside the folder"),
        ({"image": [{"bytes": None, "path": "/etc/passwd"}]}, "row 0: image is '/etc/passwd'; expected a path inside"),
        ({"image": []}, "lists no pairs"),
    ],
)  # fmt: skip
def test_tables_that_are_wrong(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = write_table(tmp_path / "pairs.parquet", **columns)
    assert message in refusal(path) and str(path) in refusal(path)


def test_maps_and_captions_that_some_rows_lack(tmp_path: Path, made: list[Sample]) -> None:
    columns = {
        "image": [s.picture for s in made[:4]],
        "file_name": ["gone.png"] * 4,  # the picture's bytes count, not what it was once called
        "canny": [made[0].drawn, None, made[2].drawn, None],
        "text": ["a", None, "", "b"],
        "captions": [None, ["c", "d"], None, None],
        "score": [1.5] * 4,
    }
    path = write_table(tmp_path / "pairs.parquet", **columns)
    assert [message.code for message in told(path)] == ["data.unknown-column"] and "'score'" in told(path)[0].text
    with listen(lambda _: None):
        rows = read_rows(path)
    assert [row.captions for row in rows] == [("a",), ("c", "d"), ("",), ("b",)]
    assert ["canny" in row.maps for row in rows] == [True, False, True, False]


def test_row_groups_that_do_not_fit_into_memory(tmp_path: Path, made: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parquet(tmp_path / "pairs", made)
    kept = parquet_module.KeptGroups(12_000)
    monkeypatch.setattr(parquet_module, "GROUPS", kept)
    assert_same(spec, made)
    assert 0 < kept.size == sum(array.nbytes for array in kept.arrays.values()) <= 12_000
    monkeypatch.setattr(parquet_module, "KEPT", 1000)
    assert told(spec) == []
    monkeypatch.setattr(parquet_module, "LARGE", 1000)
    assert {message.code for message in told(spec)} == {"data.large-row-groups"}


def test_pictures_in_a_table_are_looked_at_like_files(tmp_path: Path, made: list[Sample]) -> None:
    pictures = [s.picture for s in made[:6]]
    pictures[2], pictures[4] = pictures[2][:99], b"no picture"
    path = write_table(tmp_path / "pairs.parquet", image=pictures, canny=[s.drawn for s in made[:6]])
    report, _ = check(path)
    assert (report.good, len(report.problems)) == (4, 2)
    assert f"{path}, row 2, column 'image' is damaged or cut short" in report.problems[0]
    assert f"{path}, row 4, column 'image' is not a readable PNG" in report.problems[1]
    huge = io.BytesIO()
    Image.new("1", (8000, 5000)).save(huge, "PNG")
    pairs = open_pairs(write_table(tmp_path / "huge.parquet", image=[huge.getvalue()]), "canny")
    with pytest.raises(InputError, match=r"row 0, column 'image' is too large: 8000 x 5000 pixels"):
        _ = pairs[0]


def test_a_file_that_changes_is_noticed(tmp_path: Path, made: list[Sample]) -> None:
    saved = Path(layouts.saved(tmp_path / "three", made)) / "data-00000-of-00002.arrow"
    for spec in (parquet(tmp_path / "one", made), tar(tmp_path / "two", made), str(saved)):
        pairs = open_pairs(spec, "canny")
        os.utime(spec, ns=(1, 1))
        with pytest.raises(InputError, match="has changed since it was listed"):
            _ = pairs[0]
        Path(spec).unlink()
        with pytest.raises(InputError, match="No such file"):
            _ = pairs[0]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_any_table_is_rows_or_one_line(tmp_path: Path, made: list[Sample], kind: str) -> None:
    if kind == "parquet":
        path = Path(parquet(tmp_path / "pairs", made[:6], group=3))
    else:
        hugging_face(made[:6]).save_to_disk(tmp_path / "pairs")
        (path,) = (tmp_path / "pairs").glob("*.arrow")
    whole = path.read_bytes()
    for seed in range(150):
        draw = random.Random(seed)
        path.write_bytes(mutated(whole, draw, draw.choice([whole[-2000:], whole])))
        assert_rows_or_one_line(path)
