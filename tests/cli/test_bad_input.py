"""Bad input: one clear line on standard error, exit code 1, nothing on standard output, nothing half-written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Result, Run
from tests.tiny import SD15, build_control, build_unet

ONE_STEP = ["--prompt", "a red house", "--steps", "1", "--out", "made"]


def failed(result: Result, *pieces: object) -> bool:
    """Whether a command failed as it should, saying every piece in its one line."""
    lines = result.err.splitlines()
    assert result.code == 1, result.err
    assert result.out == ""
    assert len(lines) == 1 and lines[0].startswith("error: "), result.err
    for piece in pieces:
        assert str(piece) in lines[0]
    return not Path("made").exists()


@pytest.fixture
def bad_pictures(run: Run, photo: Path) -> dict[str, Path]:
    """Files that are no pictures, in the folder commands are run in."""
    Path("text.png").write_text("this is not a picture", "utf-8")
    Path("cut.png").write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    Path("empty.png").touch()
    Path("folder.png").mkdir()
    return {name: Path(f"{name}.png") for name in ("text", "cut", "empty", "folder", "missing")}


WORDS = {
    "text": "is not a readable PNG, JPEG or WebP image",
    "cut": "is damaged or cut short",
    "empty": "is not a readable PNG, JPEG or WebP image",
    "folder": "is not a file",
    "missing": "no such file",
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_picture_that_cannot_be_read(run: Run, bad_pictures: dict[str, Path], photo: Path, kind: str) -> None:
    path = bad_pictures[kind]
    others = [] if kind == "cut" else [photo]  # which are made beside a damaged one: test_extract
    assert failed(run("extract", "canny", *others, path, "--out", "made"), path, WORDS[kind]) or kind == "cut"
    assert failed(run("generate", "--again", path, "--out", "again"), path, WORDS[kind]) or kind == "cut"


def test_a_map_that_cannot_be_read(run: Run, bad_pictures: dict[str, Path], base_folder: Path, control_folder: Path) -> None:
    words = ["generate", "--base", base_folder, *ONE_STEP, "--control", control_folder]
    assert failed(run(*words, "--condition", bad_pictures["cut"]), "cut.png")
    assert failed(run(*words, "--image", bad_pictures["missing"]), "missing.png")


def test_a_map_of_another_size(run: Run, base_folder: Path, control_folder: Path, photo: Path) -> None:
    words = ["generate", "--base", base_folder, *ONE_STEP, "--control", control_folder, "--condition", photo]
    assert failed(run(*words), "120x90", "64x64", "--resize")


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["extract", "cany", "{photo}"], ["'cany'", "canny", "depth"]),
        (["extract", "depth", "{photo}", "--set", "method=dpt", "--set", "weights=nowhere"], ["nowhere"]),
        (["extract", "depth", "{photo}", "--set", "method=midas"], ["'midas'", "depth-anything"]),
        (["extract", "canny", "{photo}", "--set", "hight=5"], ["hight"]),
        (["extract", "canny", "{photo}", "--set", "low=300"], ["300", "low <= high"]),
        (["generate", "--base", "big", *ONE_STEP], ["no base called 'big'", "tiny"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--sampler", "plms"], ["'plms'", "dpm++2m"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--weighting", "soft", "--guidance", "2"], ["'soft'", "decay"]),
        (
            ["generate", "--base", "{base}", *ONE_STEP, "--guidance", "nan"],
            ["error: --guidance is nan; expected a finite number, usually 1 to 15"],
        ),
        (["generate", "--base", "not-there", *ONE_STEP, "--guidance", "nan"], ["--guidance is nan"]),
        (["generate", "--base", "not-there", *ONE_STEP, "--steps", "0"], ["--steps is 0; expected"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--size", "60"], ["60x60", "multiples"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--control", "caany", "--image", "{photo}"], ["'caany'"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--control", "{control}:nan", "--image", "{photo}"], ["scale is nan"]),
        (["generate", "--base", "{base}", *ONE_STEP, "--control", "{control}:1:0.8-0.2", "--image", "{photo}"], ["0.8"]),
        (["evaluate", "--control", "caany"], ["'caany'"]),
        (["evaluate", "--control", "{control}", "--data", "nowhere"], ["nowhere"]),
        (["evaluate", "--control", "{control}", "--condition", "cany", "--data", "world:1"], ["'cany'"]),
        (["train", "--base", "{base}", "--set", "stepz=4"], ["stepz", "learning_rate"]),
        (["train", "--base", "{base}", "--steps", "0"], ["optimization.steps'", "greater than or equal to 1"]),
        (["train", "--config", "nowhere.toml"], ["nowhere.toml"]),
        (["train", "--base", "{base}", "--condition", "cany", "--data", "world:9"], ["'cany'"]),
        (["data", "check", "nowhere"], ["nowhere"]),
        (["data", "world", "made", "--condition", "cany"], ["'cany'"]),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) and value[0] in ("extract", "generate") else None,
)
def test_names_and_numbers_out_of_range(
    run: Run, base_folder: Path, control_folder: Path, photo: Path, words: Sequence[str], pieces: Sequence[str]
) -> None:
    places = {"{photo}": photo, "{base}": base_folder, "{control}": control_folder}
    filled = [word.replace(mark, str(path)) for word in words for mark, path in [place_in(word, places)]]
    assert failed(run(*filled), *pieces)
    assert list(Path().iterdir()) == []


def place_in(word: str, places: dict[str, Path]) -> tuple[str, Path]:
    """The mark in a word and what stands for it."""
    return next(((mark, path) for mark, path in places.items() if mark in word), ("{}", Path()))


def test_a_control_made_for_another_base(run: Run, base_folder: Path, tmp_path: Path, photo: Path) -> None:
    other = build_control(build_unet({**SD15, "cross_attention_dim": 24}))
    folder = other.save_pretrained(tmp_path / "other")
    words = ["generate", "--base", base_folder, *ONE_STEP, "--control", folder, "--condition", photo]
    assert failed(run(*words), "cross_attention_dim", "24", "16")


@pytest.mark.parametrize("content", [None, "", '{"target": "a.png"}\n', "not json\n"])
def test_a_data_folder_with_nothing_to_use(run: Run, base_folder: Path, control_folder: Path, content: str | None) -> None:
    Path("data").mkdir()
    if content is not None:
        Path("data/prompt.json").write_text(content, "utf-8")
    assert failed(run("data", "check", "data", "--out", "made"), "data")
    assert failed(run("train", "--base", base_folder, "--data", "data", "--out", "made"), "data")
    words = ["--base", base_folder, "--control", control_folder, "--data", "data", "--out", "made"]
    assert failed(run("evaluate", *words), "data")


@pytest.mark.parametrize("inside", ["", "/deeper"])
def test_an_output_that_cannot_be_written_is_found_first(
    run: Run, base_folder: Path, control_folder: Path, photo: Path, inside: str
) -> None:
    Path("way").write_text("a file in the way", "utf-8")
    out, missing = f"way{inside}", "weights-that-are-not-there"
    commands = [
        ["extract", "canny", photo, "--out", out],
        ["generate", "--base", missing, "--prompt", "x", "--out", out],
        ["demo", "--base", missing, "--out", out],
        ["evaluate", "--control", missing, "--out", out],
        ["train", "--base", missing, "--out", out],
        ["data", "world", out],
    ]
    for command in commands:
        assert failed(run(*command), "cannot write into", "way is a file")
    assert Path("way").read_text("utf-8") == "a file in the way"


def test_a_folder_that_was_there_stays_as_it_was(run: Run) -> None:
    Path("made").mkdir()
    Path("made/mine.txt").write_text("mine", "utf-8")
    assert not failed(run("generate", "--base", "big", *ONE_STEP), "'big'")
    assert [path.name for path in Path("made").iterdir()] == ["mine.txt"]


def test_data_with_a_broken_pair_is_reported_and_fails(run: Run) -> None:
    Path("data").mkdir()
    Image.new("RGB", (64, 64)).save("data/a.png")
    lines = [{"source": "a.png", "target": name, "prompt": "x"} for name in ("a.png", "b.png")]
    Path("data/prompt.json").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    result = run("data", "check", "data", "--json")
    assert result.code == 1
    assert result.json["good"] == 1
    assert result.err.startswith("error: 1 of 2 pairs cannot be used")


def test_an_interruption_is_130(run: Run, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zeroconv.cli.generate.open_base", interrupt)
    result = run("generate", "--prompt", "x", "--out", "made")
    assert (result.code, result.out, result.err) == (130, "", "interrupted\n")
    assert not Path("made").exists()


def test_a_mistake_of_ours_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("zeroconv.cli.generate.open_base", stumble)
    assert failed(run("generate", *ONE_STEP), "unexpected KeyError", "ZEROCONV_DEBUG=1")
