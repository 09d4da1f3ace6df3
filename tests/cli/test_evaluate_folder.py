"""`zeroconv evaluate FOLDER`: what cannot be judged is said in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.evaluation.folders.drawings import draw, write_maps, write_pictures
from zeroconv.images import write_png


def test_a_folder_is_judged_beside_the_truth_and_another(run: Run) -> None:
    prompts = ["one", "two", "three"]
    pictures, other = write_pictures(Path("a"), [0, 0, 3], prompts), write_pictures(Path("b"), [9, 9, 30], prompts)
    truth, maps = write_pictures(Path("truth"), [0, 0, 0]), write_maps(Path("canny"), 3)
    words = ["evaluate", pictures, "--maps", maps, "--truth", truth, "--against", other, "--out", "report"]
    result = run(*words, "--json")
    assert result.code == 0, result.err
    sets = result.json["sets"]
    assert sets["truth"]["edge F1"]["value"] == 1 > sets["pictures"]["edge F1"]["value"] > sets["against"]["edge F1"]["value"]
    assert result.json["comparisons"][0]["ahead"] == 1
    assert result.json["messages"][0]["code"] == "evaluate.few"
    files = result.json["files"]
    assert [Path(file).name for file in files] == ["report.json", "report.html"]
    assert json.loads(Path(files[0]).read_text("utf-8"))["sets"] == sets
    shown = run(*words)
    assert shown.code == 0 and "edge F1 over 3 pictures" in shown.out and "pictures minus against: +" in shown.out


def remove(path: str) -> Callable[[], None]:
    return lambda: Path(path).unlink()


def write_text(path: str, text: str) -> Callable[[], None]:
    return lambda: void(Path(path).write_text(text, "utf-8"))


def write_picture(path: str, image: Image.Image) -> Callable[[], None]:
    return lambda: void(write_png(image, path))


def void(_: object) -> None:
    """Nothing is given back."""


WRONG: list[tuple[Callable[[], None], list[str], list[str]]] = [
    (remove("canny/p1.png"), [], ["p1.png has no map in canny (1 of 3"]),
    (write_picture("canny/p9.png", draw(0)), [], ["canny/p9.png has no picture in a (1 of 4", "manifest.jsonl"]),
    (write_picture("a/p1.png", draw(1, side=96)), [], ["mixed sizes", "--size"]),
    (write_picture("canny/p1.png", draw(1)), [], ["the map canny/p1.png", "picture"]),
    (write_text("a/p1.png", "no picture"), [], ["a/p1.png is not a readable PNG"]),
    (write_text("a/manifest.jsonl", '{"stem": "p0"}\n{"stem": '), [], ["manifest.jsonl, line 2 is not valid JSON"]),
    (write_text("a/manifest.jsonl", '{"stem": "p7"}'), [], ["lists 'p7'", "no such picture"]),
    (write_text("a/manifest.jsonl", '{"stem": "p0", "map": "/etc/p0.png"}'), [], ["the map is '/etc/p0.png'"]),
    (write_text("a/manifest.jsonl", '{"stem": "p0", "seed": "x"}'), [], ["seed is 'x'; expected a whole number"]),
    (write_picture("a/p1.webp", draw(1)), [], ["a/p1.png and a/p1.webp have one stem"]),
    (
        write_text("b/manifest.jsonl", '{"stem": "p0", "prompt": "one"}'),
        ["--against", "b"],
        ["a/p1.png has no counterpart in b (2 of 3 have none)"],
    ),
    (lambda: None, ["--against", "b"], ["p0 was made from 'one' in a and from 'two' in b", "same prompts"]),
    (lambda: None, ["--against", "a", "--count", "1"], ["1 picture is too few"]),
    (remove("truth/p0.png"), ["--truth", "truth"], ["a/p0.png has no true picture in truth"]),
    (lambda: None, ["--truth", "nowhere"], ["there is no folder nowhere"]),
    (lambda: None, ["--judge", "method=x"], ["the judge of canny has no parameter 'method'"]),
    (write_text("list.csv", "stem,prompt\np0,one\n"), ["--prompts", "list.csv"], ["no prompt for 'p1' (2 of 3"]),
    (lambda: None, ["--condition", "segmentation"], ["ADE20K palette"]),
]


@pytest.mark.parametrize(("spoil", "words", "pieces"), WRONG, ids=[" ".join(pieces)[:50] for _, _, pieces in WRONG])
def test_what_cannot_be_judged_is_said_in_one_line(
    run: Run, spoil: Callable[[], None], words: list[str], pieces: list[str]
) -> None:
    listed = ["one", "two", "three"] if "b" in words else None
    write_pictures(Path("a"), [0, 0, 0], listed)
    write_pictures(Path("b"), [0, 0, 0], None if listed is None else ["two", "two", "three"])
    write_pictures(Path("truth"), [0, 0, 0])
    write_maps(Path("canny"), 3)
    spoil()
    result = run("evaluate", "a", "--maps", "canny", "--out", "report", *words)
    lines = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert result.code == 1 and len(lines) == 1 and lines[0].startswith("error: "), result.err
    assert not [piece for piece in pieces if piece not in lines[0]], lines[0]
    assert not Path("report").exists()


def test_a_folder_or_a_control_but_not_both(run: Run) -> None:
    assert run("evaluate").code == run("evaluate", "a", "--control", "tiny-canny").code == 2
    wrong = run("evaluate", "--control", "tiny-canny", "--maps", "maps")
    assert wrong.code == 2 and "--maps is about a FOLDER" in wrong.err
    write_pictures(Path("a"), [0])
    assert run("evaluate", "a", "--out", "a").code == 2
    empty = run("evaluate", ".", "--maps", "a")
    assert empty.code == 1 and "holds no pictures" in empty.err


def test_a_control_is_evaluated_in_parts_and_gone_on_with(run: Run, base_folder: Path, control_folder: Path) -> None:
    words = ["evaluate", "--control", control_folder, "--base", base_folder, "--data", "world:2", "--steps", 1, "--out", "o"]
    words += ["--batch-size", 1, "--steps-curve", "1"]
    first = run(*words, "--shard", "1/2", "--json")
    assert first.code == 0 and (first.json["made"], first.json["done"], first.json["pairs"]) == (2, 1, 2), first.err
    assert "2 of 2 pairs are done: the same without --shard measures them" in run(*words, "--shard", "2/2").out
    report = run(*words, "--conflict", "--json").json
    assert report["pictures"] == 2 and len(report["conflicting_rows"]) == 2
    assert report["steps_curve"][0] == {"steps": 1, **report["controlled"], "pictures": 2}
    other = run(*words, "--seed", 1)
    assert other.code == 1 and "with seed 0, and 1 is asked for" in other.err and "--fresh" in other.err
    assert "script" not in Path("o/report.html").read_text("utf-8") and Path("o/sheet.png").is_file()
    judged = run("evaluate", "o/pictures/with-control", "--truth", "o/pictures/truth", "--out", "again", "--json")
    assert judged.code == 0 and judged.json["condition"] == "canny"
    assert run(*words, "--shard", "1/1", "--fresh", "--seed", 1, "--json").json["made"] == 4
    assert run(*words, "--steps-curve", "0").code == run(*words, "--engine", "dask").code == 2
    assert "expected NUMBER/OF" in run(*words, "--shard", "3/2").err
