"""The README does what it says: its Python runs, its commands parse, its targets exist."""

import re
import shlex
from pathlib import Path

import pytest

from zeroconv.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def shell_lines(command: str) -> list[list[str]]:
    """The README's command lines that begin with a word, split as a shell does, comments left out."""
    lines = (shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines())
    return [words for words in lines if words and words[0] == command]


COMMANDS = [words[1:] for words in shell_lines("zeroconv")]


def test_five_minutes_of_python_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python"))
    short, count = re.subn(r"num_inference_steps=\d+", "num_inference_steps=2", code)
    assert count == 2, "every call of the pipeline says its steps"
    names: dict[str, object] = {}
    exec(compile(short, "README.md", "exec"), names)
    assert (tmp_path / "house.png").is_file()
    assert (tmp_path / "fresh" / "diffusion_pytorch_model.safetensors").is_file()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_parses(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = words[:2] if words[0] == "data" else words[:1]
    assert main([*names, "--help"]) == 0
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= known


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert {words[0] for words in COMMANDS} == set(re.findall(r"^  ([a-z]+)", listed, flags=re.MULTILINE))


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    named = {words[1] for words in shell_lines("make")}
    assert named == {"demo", "test"} and named <= targets
