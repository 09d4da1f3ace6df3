"""Folders with known answers: the truth scores 1, what is drawn elsewhere 0, and two folders differ by what they differ."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.folders.drawings import draw, write_maps, write_pictures
from zeroconv.conditions import extract, get
from zeroconv.evaluation.folders import Entry, PictureFolder, SetMeasure, Sizes, judge_folder, measure_folders
from zeroconv.evaluation.folders.manifest import read_manifest, write_manifest
from zeroconv.evaluation.folders.picture_folder import read_prompts
from zeroconv.images import open_image, write_png
from zeroconv.metrics.bootstrap import bootstrap_mean

pytestmark = pytest.mark.filterwarnings("ignore:.*pictures are few:zeroconv.messages.MessageWarning")


def test_the_truth_scores_1_and_its_numbers_can_be_recomputed(tmp_path: Path) -> None:
    pictures, maps = write_pictures(tmp_path / "a", [0, 3, 9]), write_maps(tmp_path / "canny", 3)
    truth = write_pictures(tmp_path / "truth", [0, 0, 0])
    report = judge_folder(pictures, maps=maps, truth=truth)
    by_hand = [get("canny").fidelity(draw(i, moved), extract("canny", draw(i))) for i, moved in enumerate((0, 3, 9))]
    assert report.values("pictures") == by_hand and by_hand[0] == 1 > by_hand[2]
    assert report.values("truth") == [1, 1, 1]
    assert report.interval("pictures") == bootstrap_mean(by_hand)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["sets"]["pictures"]["edge F1"]["value"] == pytest.approx(sum(by_hand) / 3)
    assert [row["stem"] for row in plain["rows"]] == ["p0", "p1", "p2"]


def test_a_folder_against_itself_differs_by_nothing_and_the_difference_is_paired(tmp_path: Path) -> None:
    one, maps = write_pictures(tmp_path / "one", [0, 1, 9, 0]), write_maps(tmp_path / "canny", 4)
    same = judge_folder(one, maps=maps, against=one).compare("pictures", "against")
    assert (same.difference.value, same.difference.low, same.difference.high, same.ahead) == (0, 0, 0, 0.5)
    worse = write_pictures(tmp_path / "two", [9, 9, 9, 9])
    report = judge_folder(one, maps=maps, against=worse)
    found, back = report.compare("pictures", "against"), report.compare("against", "pictures")
    apart = report.interval("pictures").value - report.interval("against").value
    assert found.difference.value == -back.difference.value == pytest.approx(apart)
    assert found.ahead == 1 - back.ahead == pytest.approx(3.5 / 4)
    hard = [0.1, 0.5, 0.9]  # a difference that is the same everywhere is sure, however much the maps differ
    assert bootstrap_mean([a + 0.05 - a for a in hard]).low == pytest.approx(0.05)


def test_a_manifest_says_what_belongs_to_a_folder(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "maps", 3)
    pictures = write_pictures(tmp_path / "a", [0, 0, 9])
    entries = [Entry(f"p{i}", f"square {i}", 7 + i, maps / f"p{i}.png", "canny", {"steps": 4}) for i in (1, 0)]
    write_manifest(pictures, entries)
    assert read_manifest(pictures) == {entry.stem: entry for entry in entries}
    report = judge_folder(pictures)
    assert [(row.stem, row.prompt, row.seed) for row in report.rows] == [("p1", "square 1", 8), ("p0", "square 0", 7)]
    assert report.values("pictures") == [1, 1]


def test_maps_as_extract_names_them_and_prompts_beside_them(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "a", [0, 0])
    for index in range(2):
        write_png(extract("canny", draw(index)), tmp_path / "m" / f"p{index}-canny.png")
        (tmp_path / f"p{index}.txt").write_text(f"square {index}\n", "utf-8")
    (tmp_path / "list.csv").write_text("file_name,text\np0.png,square 0\np1.png,square 1\n", "utf-8")
    assert read_prompts(tmp_path) == read_prompts(tmp_path / "list.csv") == {"p0": "square 0", "p1": "square 1"}
    report = judge_folder(pictures, maps=tmp_path / "m", condition="canny", prompts=tmp_path)
    assert [row.prompt for row in report.rows] == ["square 0", "square 1"] and report.values("pictures") == [1, 1]


def test_jpeg_and_webp_are_pictures_too(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "canny", 2)
    for index, ending in enumerate(("jpg", "webp")):
        (tmp_path / "a").mkdir(exist_ok=True)
        draw(index).save(tmp_path / "a" / f"p{index}.{ending}", quality=95)
    assert min(judge_folder(tmp_path / "a", maps=maps).values("pictures")) > 0.8


def test_maps_of_another_size_are_resized_and_said(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "a", [0, 0])
    large = {f"p{i}": extract("canny", draw(i).resize((128, 128), Image.Resampling.NEAREST)) for i in range(2)}
    maps = write_maps(tmp_path / "canny", 0, extra=large)
    report = judge_folder(pictures, maps=maps)
    assert "2 maps resized from 128x128 to 64x64 before judging" in report.notes
    assert min(report.values("pictures")) > 0.9, "lines stay lines"
    wide = write_maps(tmp_path / "wide" / "canny", 0, extra={f"p{i}": Image.new("RGB", (128, 64), "white") for i in range(2)})
    with pytest.raises(ValueError, match="128x64 go with pictures of 64x64, which have another shape: say with --resize"):
        judge_folder(pictures, maps=wide)


def test_what_is_no_map_is_refused_before_resizing_makes_lines_of_it(tmp_path: Path) -> None:
    photo = Image.linear_gradient("L").convert("RGB")
    maps = write_maps(tmp_path / "canny", 1, extra={"p0": photo})
    with pytest.raises(ValueError, match=r"the map .*p0.png: canny: this map looks like a picture"):
        judge_folder(write_pictures(tmp_path / "a", [0]), maps=maps)


def test_pictures_of_mixed_sizes_are_judged_at_one_that_is_named(tmp_path: Path) -> None:
    pictures, maps = write_pictures(tmp_path / "a", [0, 0]), write_maps(tmp_path / "canny", 2)
    write_png(draw(1).resize((128, 128), Image.Resampling.NEAREST), pictures / "p1.png")
    with pytest.raises(ValueError, match=r"p1.png is 128x128 and .*p0.png 64x64: scores of mixed sizes do not compare"):
        judge_folder(pictures, maps=maps)
    report = judge_folder(pictures, maps=maps, sizes=Sizes((64, 64)))
    assert report.settings["size"] == [64, 64] and report.notes[-1].startswith("1 picture resized from 128x128 to 64x64")
    assert report.values("pictures")[1] > 0.8


def test_a_map_that_asks_for_nothing_is_left_out_of_all(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "canny", 2, extra={"p2": Image.new("RGB", (64, 64))})
    report = judge_folder(write_pictures(tmp_path / "a", [0, 0, 0]), maps=maps)
    assert list(report.left_out) == ["p2"] and len(report.rows) == 2
    assert "1 left out" in report.lines()[0]


def test_a_score_that_is_no_number_is_an_error_and_not_a_mean(tmp_path: Path) -> None:
    broken = replace(get("canny"), score=lambda image, condition: float("nan"))
    folder, maps = PictureFolder.open(write_pictures(tmp_path / "a", [0])), write_maps(tmp_path / "canny", 1)
    with pytest.raises(ValueError, match=r"edge F1 of pictures by the map .*p0.png is nan; expected a finite number"):
        measure_folders({"pictures": folder}, {"p0": maps / "p0.png"}, broken, judge={})


def test_numbers_of_whole_sets_are_rows_of_the_report(tmp_path: Path) -> None:
    pictures, maps = write_pictures(tmp_path / "a", [0, 0]), write_maps(tmp_path / "canny", 2)
    truth = write_pictures(tmp_path / "truth", [0, 0])

    def brightness(folder: PictureFolder, true: PictureFolder | None) -> list[SetMeasure]:
        assert true is not None and true.stems == folder.stems
        value = float(np.asarray(open_image(folder.files["p0"])).max())
        return [SetMeasure("brightness", value, procedure={"pictures": len(folder.files)})]

    report = judge_folder(pictures, maps=maps, truth=truth, measurers=[brightness])
    assert [one.of for one in report.set_measures] == ["pictures"]
    assert json.loads(json.dumps(report.to_dict()))["set_measures"][0]["procedure"] == {"pictures": 2}
    assert any("brightness" in line for line in report.lines())
