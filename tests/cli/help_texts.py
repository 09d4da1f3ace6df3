"""The texts of `--help`, frozen: `python -m tests.cli.help_texts` (`make helptexts`) writes them again."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "help"
COMMANDS: dict[str, list[str]] = {
    "zeroconv": [],
    **{
        name: [name]
        for name in ("demo", "extract", "generate", "upscale", "train", "watch", "serve", "evaluate", "convert", "info")
    },
    **{name: [name] for name in ("data", "study", "database")},
    **{f"data-{name}": ["data", name] for name in ("check", "prepare", "world")},
    **{f"study-{name}": ["study", name] for name in ("create", "links", "serve", "report")},
    "database-copy": ["database", "copy"],
}


def help_text(words: list[str]) -> str:
    """What `zeroconv WORDS --help` prints on a terminal of 80 columns."""
    command = [sys.executable, "-m", "zeroconv", *words, "--help"]
    environment = {**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def main() -> None:
    """Write every text."""
    FOLDER.mkdir(exist_ok=True)
    for name, words in COMMANDS.items():
        (FOLDER / f"{name}.txt").write_text(help_text(words), "utf-8")


if __name__ == "__main__":
    main()
