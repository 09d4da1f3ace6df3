"""Every example runs as its docstring says, with arguments that make it short."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from zeroconv.images import image_size

EXAMPLES = Path(__file__).parent.parent / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `examples/NAME.py ARGUMENTS` in an empty folder and returns what it prints."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", [f"{name}.py", *arguments])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_has_a_test() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {
        "zero_convolution_mlp",
        "controlnet_any_unet",
        "train_tiny",
        "generate",
        "from_pictures",
        "compose_two",
        "teaching_controlnet",
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_docstring_says_command_hardware_and_time(path: Path) -> None:
    head = path.read_text("utf-8")
    assert f"python examples/{path.name}" in head and "Hardware:" in head and "Time:" in head and "Expected:" in head
    assert len(head.splitlines()) <= 112


def test_zero_convolution_mlp(run: Run) -> None:
    printed = run("zero_convolution_mlp", "--steps", "200").splitlines()
    assert printed[0] == "equal at initialisation: True"
    assert printed[1] == "step 0: gradient in zero_out"
    assert printed[2] == "step 1: gradient in zero_out, copy, zero_in"
    begin, end = (float(number) for number in re.findall(r"\d+\.\d+", printed[-1]))
    assert end < begin / 5


def test_from_pictures(run: Run) -> None:
    printed = run("from_pictures", "--steps", "4", "--factors", "1", "--out", "out").split()
    assert len(printed) == 8 and printed[-1] == "out/sheet.webp"
    assert all(image_size(path) == (128, 128) for path in printed[:-1])


def test_teaching_controlnet(run: Run) -> None:
    printed = run("teaching_controlnet", "--steps", "40")
    assert "equal before training: True" in printed
    begin, end = (float(number) for number in re.findall(r"\d+\.\d+", printed))
    assert end < begin / 3


def test_controlnet_any_unet(run: Run) -> None:
    printed = run("controlnet_any_unet", "--base-steps", "60", "--steps", "120")
    assert "equal at initialisation: True" in printed and "base unchanged: True" in printed
    alone, controlled = (float(number) for number in re.findall(r"\d+\.\d+", printed))
    assert controlled < 0.7 * alone


def test_train_tiny(run: Run, tmp_path: Path) -> None:
    short = ("--steps", "2", "--batch-size", "2", "--probe-count", "1", "--probe-steps", "1", "--out", "run")
    assert "without control" in run("train_tiny", *short)
    assert (tmp_path / "run" / "controlnet" / "config.json").is_file()
    assert "resuming run at step 2" in run("train_tiny", *short)


def test_generate(run: Run, tmp_path: Path) -> None:
    printed = run("generate", "--steps", "1", "--num-images", "1", "--out", "out")
    assert printed.split() == ["out/seed-7.png", "out/sheet.png"]
    with Image.open(tmp_path / "out" / "seed-7.png") as picture:
        assert picture.size == (128, 128) and "Steps: 1" in picture.text["parameters"]  # type: ignore[attr-defined]


def test_compose_two(run: Run, tmp_path: Path) -> None:
    assert run("compose_two", "--steps", "1", "--num-images", "1").strip() == "outputs/compose/compose.png"
    assert (tmp_path / "outputs" / "compose" / "compose.png").is_file()
