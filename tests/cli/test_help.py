"""What the command line says about itself."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Run
from zeroconv import __version__

COMMANDS = [
    [], ["demo"], ["extract"], ["generate"], ["train"], ["evaluate"], ["data"], ["data", "check"], ["data", "world"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself(run: Run, command: list[str], flag: str) -> None:
    result = run(*command, flag)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(" ".join(["Usage: zeroconv", *command]))


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
