"""`zeroconv study`: from folders of pictures to links and reports, and one line for what cannot be."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.study.raters import methods_of, prefer
from zeroconv.cli import main
from zeroconv.study import Study

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write a folder of pictures that say everywhere who made them."""

    def write(folder: str, *names: str, size: tuple[int, int] = (24, 24)) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name in names:
            pixels = np.random.default_rng(abs(hash((folder, name)))).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            image, text = Image.fromarray(pixels), PngInfo()
            text.add_text("parameters", f"made by {folder}")
            exif = Image.Exif()
            exif[0x010E] = f"made by {folder}"
            if name.endswith(".png"):
                image.save(place / name, pnginfo=text, exif=exif)
            else:
                image.save(place / name, exif=exif, comment=f"made by {folder}".encode(), quality=95)
        return place

    return write


def create(file: Path, *words: object) -> int:
    return main(["study", "create", str(file), *map(str, words)])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1, captured.err
    return captured.err


def test_from_folders_to_a_report(tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = draw("ours", "a.png", "b.jpg", "c.png"), draw("theirs", "a.jpg", "b.png", "d.png")
    maps = draw("maps", "a.png", "b.png", "c.png")
    (tmp_path / "prompts.json").write_text('{"a": "a house <b>"}')
    file, page = tmp_path / "study.sqlite", tmp_path / "report.html"
    folders = ["--method", f"ours={ours}", "--method", f"theirs={theirs}"]
    assert (
        create(file, *folders, "--maps", maps, "--prompts", tmp_path / "prompts.json", "--raters", "2", "--title", "Q & A") == 0
    )
    captured = capsys.readouterr()
    links = re.findall(r"^[12]  0/4  http://127\.0\.0\.1:8766/study/([\w-]{32})$", captured.out, flags=re.MULTILINE)
    assert len(set(links)) == 2
    assert "2 of 4 are left out, not every folder has them: c (not in theirs), d (not in ours, maps)" in captured.err
    assert (
        "1 of 2 have no prompt, such as b" in captured.err and "2 items of 2 methods, 2 raters with 4 questions" in captured.err
    )
    with Study(file) as study:
        for name in (row["id"] for row in study.database.read("SELECT id FROM picture")):
            content = study.picture(name)
            assert content is not None and b"made by" not in content
            with Image.open(io.BytesIO(content)) as image:
                assert (image.format, image.mode, image.info, dict(image.getexif())) == ("PNG", "RGB", {}, {})
        known = methods_of(study)
        with Image.open(ours / "a.png") as image:
            own = next(row["picture"] for row in study.database.read("SELECT * FROM result WHERE item = 0 AND method = 0"))
            assert np.array_equal(np.array(image), np.array(Image.open(io.BytesIO(study.picture(own) or b""))))
        assert set(known.values()) == {"ours", "theirs"}
        for rater in study.raters():
            while questions := study.questions(rater):
                study.rank(rater, questions[0].place, prefer(study, questions[0], ("theirs", "ours")))
                rater = study.rater(rater.token) or rater
    assert main(["study", "links", str(file), "--url", "https://study.example.org/", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["links"]
    assert found[1] == {"rater": 2, "link": f"https://study.example.org/study/{links[1]}", "done": 4, "total": 4}
    assert main(["study", "report", str(file), "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "theirs  2.00 ± 0.00" in said and "Kendall's W): 1.00, by chance 0.50" in said and str(page) in said
    assert main(["study", "report", str(file), "--json", "--finished-only"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["raters"] == {"finished": 2, "unfinished": 0, "absent": 0} and len(report["votes"]) == 8
    assert report["rankings"]["fidelity"]["methods"][0] == {"method": "theirs", "mean": 2.0, "deviation": 0.0}
    html = page.read_text("utf-8")
    assert "<h1>Q &amp; A</h1>" in html and html.count("<svg") == 2 and not re.search(r"https?://|<script|<link|src=", html)


def test_sizes_that_would_tell_are_refused_or_made_alike(
    tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large, wide = draw("small", "a.png"), draw("large", "a.png", size=(48, 48)), draw("wide", "a.png", size=(48, 24))
    file = tmp_path / "study.sqlite"
    assert create(file, "--method", f"s={small}", "--method", f"l={large}", "--maps", small) == 1
    assert "a has several sizes, which would tell who made it (24 x 24 in s, 48 x 48 in l): --size" in one_line(capsys)
    assert create(file, "--method", f"s={small}", "--method", f"w={wide}", "--maps", small, "--size", "32") == 1
    assert "resize them alike" in one_line(capsys)
    assert create(file, "--method", f"s={small}", "--method", f"l={large}", "--maps", wide, "--size", "32") == 0
    with Study(file) as study:
        sizes = [Image.open(io.BytesIO(row["png"])).size for row in study.database.read("SELECT png FROM picture")]
    assert sorted(sizes) == [(32, 16), (32, 32), (32, 32)]


def test_two_models_and_an_empty_report(tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{i}.png" for i in range(7)]
    file = tmp_path / "study.sqlite"
    words = ["--method", f"x={draw('x', *names)}", "--method", f"y={draw('y', *names)}", "--kind", "discrimination"]
    assert create(file, *words) == 0
    with Study(file) as study:
        assert len(study.teaching(study.raters()[0])) == 3 and study.raters()[11].total == 4
    capsys.readouterr()
    assert main(["study", "report", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Picture study: 0 votes; of 12 raters 0 finished, 0 in part, 12 not begun", "no votes to judge yet",
    ]  # fmt: skip
    assert create(tmp_path / "other", *words, "--teaching", "5", "--count", "3") == 1
    assert "5 items of teaching and 3 trials do not fit 7 items" in one_line(capsys)


def test_what_cannot_be_a_study_ends_in_one_line(tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, twice, empty = draw("one", "a.png"), draw("two", "b.png"), draw("twice", "a.png", "a.jpg"), draw("empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no picture")
    (tmp_path / "prompts.json").write_text("[1]")
    ones, alike = ["--method", f"one={one}"], ["--method", f"one={one}", "--method", f"again={one}", "--maps", str(one)]
    cases = [
        (ones, "got 1 methods; expected 2 to 10"),
        (["--method", "one"], "got --method one: expected NAME=FOLDER"),
        ([*ones, "--method", f"one={two}"], "two methods are called one"),
        ([*ones, "--method", f"two={two}"], "no picture has the same name in every folder"),
        ([*ones, "--method", f"none={tmp_path / 'none'}"], "none is not a folder"),
        ([*ones, "--method", f"empty={empty}"], "(pictures: one 1, empty 0)"),
        ([*ones, "--method", f"twice={twice}"], "has both a.jpg and a.png"),
        ([*ones, "--method", f"bad={tmp_path / 'broken'}"], "a.png is not a readable"),
        ([*alike, "--count", "2"], "2 items are asked for"),
        ([*alike, "--teaching", "2"], "a ranking has no teaching"),
        ([*alike, "--prompts", str(tmp_path / "prompts.json")], "not an object of texts"),
        ([*alike, "--prompts", str(tmp_path / "nowhere")], "No such file"),
    ]
    for words, said in cases:
        assert create(tmp_path / "study.sqlite", *words) == 1, words
        assert said in one_line(capsys), words
        assert not (tmp_path / "study.sqlite").exists()
    for words in (["report"], ["links"], ["serve", "--port", "0"]):
        assert main(["study", words[0], str(tmp_path / "missing"), *words[1:]]) == 1
        assert "there is no user study at" in one_line(capsys)


def test_prompts_from_a_folder_and_the_same_picture_twice(
    tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    one = draw("one", "a.png")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a red\nhouse\n")
    file = tmp_path / "study.sqlite"
    assert create(file, "--method", f"x={one}", "--method", f"y={one}", "--prompts", tmp_path / "texts", "--raters", "1") == 0
    said = capsys.readouterr().err
    assert "a is the same picture in several folders" in said and "asked for quality alone" in said
    with Study(file) as study:
        question = study.questions(study.raters()[0])[0]
        assert question.prompt == "a red house" and study.raters()[0].total == 1
