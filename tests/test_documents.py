"""The README and the pages of `docs` do what they say: their Python runs, their commands parse, their targets exist."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from zeroconv.checkpoints import embedded_names
from zeroconv.cli import main
from zeroconv.cli.app import app
from zeroconv.conditions import extract
from zeroconv.world import make

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
TEXT = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
HUB = {"stable-diffusion-v1-5/stable-diffusion-v1-5": "tiny", "lllyasviel/control_v11p_sd15_canny": "tiny-canny"}
"""What is opened in place of the README's names on the hub: nothing is downloaded here."""
SHORTER = {
    r"num_inference_steps=\d+": "num_inference_steps=2",
    r"steps=1500, batch_size=8": "steps=1, batch_size=1, probe_count=1, probe_steps=1",
    r"world:2000": "world:4",
    r"strength=0\.25": "strength=0.5",  # of two steps one
    r'\.to\("cuda"\)': "",
    r'"(dpt|depth-anything)"': '"tiny"',
}


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def shell_lines(command: str, page: str) -> list[list[str]]:
    """The command lines of a page that begin with a word, split as a shell does, comments left out."""
    lines = (shlex.split(line, comments=True) for block in blocks("sh", TEXT[page]) for line in block.splitlines())
    return [words for words in lines if words and words[0] == command]


COMMANDS = list(dict.fromkeys(tuple(words[1:]) for page in PAGES for words in shell_lines("zeroconv", page)))


def run_python(page: str, folder: Path, **names: object) -> None:
    """Run the Python of a page from top to bottom, with fewer steps and nothing from the hub.

    Args:
        page: which.
        folder: the folder it runs in.
        **names: what the page takes for granted.
    """
    code = "\n".join(blocks("python", TEXT[page]))
    for written, instead in (*HUB.items(), *SHORTER.items()):
        code = re.sub(written, instead, code)
    inputs = folder / "outputs" / "demo" / "inputs"
    inputs.mkdir(parents=True)
    shutil.copy(ROOT / "src" / "zeroconv" / "assets" / "demo" / "house.png", inputs)
    Image.open(inputs / "house.png").save(folder / "photo.png")
    exec(compile(code, page, "exec"), names)


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(name in TEXT["README.md"] for name in HUB)
    run_python("README.md", tmp_path)
    assert (tmp_path / "house.png").is_file()


def test_the_python_of_the_tour_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_python("docs/python.md", tmp_path)
    assert (tmp_path / "house.png").is_file()
    for folder in ("fresh", "canny-lora"):
        assert list((tmp_path / folder).glob("*.safetensors"))


def test_the_python_of_training_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_python("docs/training.md", tmp_path)
    assert (tmp_path / "runs" / "python" / "controlnet" / "config.json").is_file()


def test_the_python_of_the_page_on_conditions_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = [Image.fromarray(make(900_000_000 + i).rgb) for i in range(8)]
    names = {"picture": pictures[0], "pictures": pictures, "made": pictures[1], "depth_map": extract("depth", pictures[0])}
    run_python("docs/conditions/README.md", tmp_path, **names)


@pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # a page's example has few pictures
def test_the_python_of_the_page_on_measuring_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_python("docs/measuring.md", tmp_path)


def test_the_python_of_every_other_page_is_python() -> None:
    for page in PAGES:
        compile("\n".join(blocks("python", TEXT[page])), page, "exec")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_parses(words: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(app)
    arguments = list(words)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(words[0], arguments)  # raises when an option or a value is not known


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = set(re.findall(r"^  ([a-z]+)", capsys.readouterr().out.partition("Commands:")[2], flags=re.MULTILINE))
    table = set(re.findall(r"^\| `zeroconv ([a-z]+)", TEXT["README.md"], flags=re.MULTILINE))
    assert table == listed == {words[0] for words in COMMANDS}


def test_the_readme_is_short() -> None:
    assert len(TEXT["README.md"].encode()) <= 8192


def test_the_measured_table_is_the_one_of_the_results() -> None:
    results = (ROOT / "docs" / "results" / "tiny.md").read_text("utf-8")
    rows = re.findall(r"^\| `tiny-.*\|$", TEXT["README.md"], flags=re.MULTILINE)
    named = set(re.findall(r"^\| `(tiny-.*?)`", "\n".join(rows), flags=re.MULTILINE))
    assert named == set(embedded_names("ControlNet")) and all(row in results for row in rows)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`", "".join(TEXT.values())))
    named |= {words[1] for page in PAGES for words in shell_lines("make", page)}
    assert {"demo", "test"} <= named <= targets
