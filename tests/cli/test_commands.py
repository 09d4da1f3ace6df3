"""Every other command does its work, and `--json` prints exactly one object."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from tests.cli.conftest import Run
from tests.conditions import tiny_networks
from zeroconv.cli.console import format_seconds
from zeroconv.cli.controls import parse_control
from zeroconv.cli.demo_sheet import lines_of, open_showpieces
from zeroconv.conditions import extract, get
from zeroconv.images import open_image, write_png


def test_evaluate_writes_report_and_sheet(run: Run, base_folder: Path, control_folder: Path, photo: Path) -> None:
    data = Path("data")
    for i in range(3):
        write_png(open_image(photo), data / f"{i}.png")
    lines = [json.dumps({"file_name": f"{i}.png", "text": "a red house"}) for i in range(3)]
    (data / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    words = ["--control", control_folder, "--data", data, "--count", 2, "--steps", 1, "--out", "report"]
    words += ["--steps-curve", "none"]
    result = run("evaluate", *words, "--json")  # base and condition are those the control names
    assert result.code == 0, result.err
    report = result.json
    assert report["settings"]["base"] == str(base_folder)
    assert (report["condition"], report["pictures"], len(report["rows"])) == ("canny", 2, 2)
    for name in ("controlled", "uncontrolled", "ceiling"):
        assert 0 <= report[name]["low"] <= report[name]["value"] <= report[name]["high"] <= 1
    files = report.pop("files")
    assert {**json.loads(Path(files[0]).read_text("utf-8")), "messages": []} == report
    assert [Path(file).name for file in files] == ["report.json", "report.html", "sheet.png"]
    assert open_image(files[2]).width > 1000


def test_a_judge_is_named_and_all_that_it_measures_is_told(
    run: Run, base_folder: Path, control_folder: Path, photo: Path, tmp_path: Path
) -> None:
    write_png(open_image(photo), Path("data/0.png"))
    write_png(extract("depth", open_image(photo)), Path("data/0-depth.png"))
    line = {"file_name": "0.png", "text": "a red house", "depth": "0-depth.png"}
    Path("data/metadata.jsonl").write_text(json.dumps(line), "utf-8")
    words = ["--control", control_folder, "--condition", "depth", "--data", "data", "--steps", 1, "--out", "report"]
    words += ["--steps-curve", "none"]
    plain = run("evaluate", *words, "--json")
    assert plain.code == 0 and "is read by the embedded annotator" in plain.err
    assert list(plain.json["others"]) == ["RMSE", "correlation"]
    network = tiny_networks.save("dpt", tmp_path / "dpt")
    named = run("evaluate", *words, "--judge", "method=dpt", "--judge", f"weights={network}", "--json")
    assert named.code == 0 and "warning" not in named.err
    assert named.json["settings"]["judge"] == {"method": "dpt", "weights": str(network)}
    assert named.json["ceiling"] != plain.json["ceiling"]
    assert "  RMSE " in run("evaluate", *words).out
    refused = run("evaluate", *words, "--judge", "tile=64")
    assert refused.code == 1 and "the judge of depth has no parameter 'tile'" in refused.err


def test_train_then_generate_with_the_run(run: Run, base_folder: Path, photo: Path) -> None:
    small = {"batch_size": 1, "probe_count": 1, "probe_steps": 1, "probe_every": 2, "warmup_steps": 1}
    words = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    command = ["train", "--base", base_folder, "--data", "world:4", "--out", "run", "--steps", 2, *words]
    result = run(*command, "--json")
    assert result.code == 0, result.err
    assert (result.json["step"], result.json["folder"]) == (2, "run")
    assert "probe at step 2: edge F1" in result.err
    assert "resuming run at step 2" in run(*command).err
    words = ["--control", "run", "--image", photo, "--prompt", "a red house", "--steps", 1, "--out", "made", "--json"]
    assert run("generate", "--base", base_folder, *words).json["pictures"] == ["made/seed-0.png"]


def test_data_world_then_check(run: Run) -> None:
    words = ["data", "world", "scenes", "--count", 10, "--condition", "canny", "--condition", "seg", "--first-seed", 5]
    result = run(*words, "--json")
    assert result.code == 0, result.err
    assert result.json["conditions"] == ["canny", "segmentation"]
    checked = run("data", "check", "scenes", "--json")
    assert checked.code == 0, checked.err
    assert (checked.json["pairs"], checked.json["good"]) == (10, 10)
    assert checked.json["maps"] == {"canny": 10, "segmentation": 10}
    assert Path(checked.json["sheet"]).is_file() and checked.json["messages"] == []
    few = run("data", "check", "scenes", "--probe-count", 10)
    assert few.code == 1 and "training would refuse this data" in few.err
    assert "10 of 10 pairs are good" in run("data", "check", "scenes").out


def test_demo_makes_a_sheet_and_a_report(run: Run) -> None:
    result = run("demo", "--steps", 1, "--json")
    assert result.code == 0, result.err
    assert [line for line in result.err.splitlines() if not line.startswith("demo: step")] == []
    report, folder = result.json, Path("outputs/demo")
    assert report["folder"] == str(folder)
    assert [row["condition"] for row in report["pictures"]] == ["canny", "depth", "pose", "scribble"]
    assert open_image(folder / "sheet.png").width > 1200
    for row, piece in zip(report["pictures"], open_showpieces(), strict=True):
        assert row["score_controlled"] == piece.score(open_image(folder / row["controlled"]))
        assert row["score_uncontrolled"] == piece.score(open_image(folder / row["uncontrolled"]))
        assert open_image(folder / row["map"]).tobytes() == piece.map.tobytes()
        assert row["control"] == f"tiny-{row['condition']}"
        assert open_image(folder / row["controlled"]).tobytes() != open_image(folder / row["uncontrolled"]).tobytes()
    assert len({row["controlled"] for row in report["pictures"]}) == 4  # none overwrites another
    on_disk = json.loads((folder / "report.json").read_text("utf-8"))
    assert on_disk == {key: value for key, value in report.items() if key not in ("folder", "messages")}


def test_the_bundled_pictures_fit_the_tiny_base_and_their_maps_the_contract() -> None:
    for piece in open_showpieces():
        assert piece.image.size == piece.map.size == (128, 128)
        assert get(piece.condition).check(piece.map) == []
        if piece.condition != "scribble":
            assert piece.map.tobytes() == extract(piece.condition, piece.image).tobytes()


def test_a_drawings_lines_are_its_map() -> None:
    drawing = Image.new("RGB", (5, 5), "white")
    drawing.paste((40, 40, 40), (2, 0, 3, 5))
    assert np.array_equal(np.asarray(lines_of(drawing))[0, :, 0], [0, 0, 255, 0, 0])


@pytest.mark.parametrize(
    ("text", "name", "numbers"),
    [
        ("tiny-canny", "tiny-canny", {}),
        ("tiny-canny:0.5", "tiny-canny", {"scale": 0.5}),
        ("runs/a:1.5:0.25-0.75", "runs/a", {"scale": 1.5, "start": 0.25, "end": 0.75}),
        ("lllyasviel/canny:-1", "lllyasviel/canny", {"scale": -1.0}),
    ],
)
def test_a_control_is_name_scale_and_window(text: str, name: str, numbers: dict[str, float]) -> None:
    assert parse_control(text) == (name, numbers)


@pytest.mark.parametrize("text", ["tiny-canny:0.5:0.2", "tiny-canny:1:2:3", "tiny-canny:high", "tiny-canny:1:0-0.5-1"])
def test_a_control_with_odd_numbers_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected NAME, NAME:SCALE or NAME:SCALE:START-END"):
        parse_control(text)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_the_demo_says_in_sentences_where_to_look(run: Run) -> None:
    result = run("demo", "--steps", 1)
    assert result.code == 0, result.err
    assert result.out.startswith("Four pictures in ")
    assert all(measure in result.out for measure in ("edge F1 0.", "depth delta1 0.", "joints met", "stroke F2 0."))
    assert result.out.endswith("Look at outputs/demo/sheet.png. The numbers are in outputs/demo/report.json.\n")
