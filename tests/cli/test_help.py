"""What the command line says about itself."""

import re
import subprocess
import sys

import pytest

from tests.cli.conftest import Run
from tests.cli.help_texts import COMMANDS, FOLDER
from zeroconv import __version__


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, as for the frozen texts."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself_as_it_is_frozen(run: Run, name: str, flag: str) -> None:
    result = run(*COMMANDS[name], flag)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(" ".join(["Usage: zeroconv", *COMMANDS[name]]))
    assert result.out == (FOLDER / f"{name}.txt").read_text("utf-8"), "changed on purpose? `make helptexts` freezes it again"


def commands_in(text: str) -> set[str]:
    return set(re.findall(r"^  ([a-z]+)", text.partition("Commands:")[2], flags=re.MULTILINE))


def test_every_command_is_frozen(run: Run) -> None:
    inner = {f"{group}-{name}" for group in ("data", "study", "database") for name in commands_in(run(group, "--help").out)}
    assert {"zeroconv", *commands_in(run("--help").out), *inner} == COMMANDS.keys()
    assert {path.stem for path in FOLDER.glob("*.txt")} == COMMANDS.keys()


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"zeroconv {__version__}\n"


@pytest.mark.parametrize("words", [["paint"], ["generate", "--colour"], ["extract", "canny"], ["data", "chek"]])
def test_wrong_usage_is_exit_code_2(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert "Error:" in result.err


def test_python_m_zeroconv_is_the_command_and_help_loads_nothing_heavy() -> None:
    script = "import sys; from zeroconv.__main__ import main; main(['--help']); print([m for m in sys.modules if m in {list}])"
    heavy = "('torch', 'cv2', 'diffusers', 'transformers', 'numpy')"
    done = subprocess.run([sys.executable, "-c", script.replace("{list}", heavy)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    module = subprocess.run([sys.executable, "-m", "zeroconv", "extract"], capture_output=True, text=True, check=False)
    assert module.returncode == 2
