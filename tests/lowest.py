"""Test with the oldest versions that `pyproject.toml` allows: `python tests/lowest.py [REQUIREMENT…]` (`make lowest`).

A virtual environment of its own in `outputs/lowest`; the direct dependencies at their lowest, everything below them as new
as it comes. Requirements that are given, such as `torch==2.13.0`, hold instead. The fast part of the tests runs in it.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "outputs" / "lowest"
TESTS = ("tests/control", "tests/diffusion", "tests/generation", "tests/metrics", "tests/cli/test_help.py")


def main() -> int:
    """Make the environment, install, test; the exit code of the tests."""
    uv = [sys.executable, "-m", "uv"]
    tool = subprocess.run([*uv, "--version"], capture_output=True, check=False)
    if tool.returncode:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    print(f"Installing the oldest versions into {PLACE.relative_to(ROOT)}.", flush=True)
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", "3.11", str(PLACE)], check=True)
    python = PLACE / "bin" / "python"
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), "--resolution", "lowest-direct"]
    subprocess.run([*install, "--editable", f"{ROOT}[dev]", *sys.argv[1:]], check=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run([python, "-m", "pytest", *TESTS], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
