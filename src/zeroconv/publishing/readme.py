"""The README of a folder that is written to: ours may be written anew, anybody else's stays as it is."""

import hashlib
from pathlib import Path

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.messages import Message, tell

__all__ = ["write_readme"]

NAME, BESIDE = "README.md", "README.zeroconv.md"
MARK = "<!-- zeroconv "
BEFORE_MARKS = "zeroconv generate --base "  # stands in everything that was written before there were marks


def write_readme(folder: Path, text: str) -> Path:
    """Write `README.md`, or `README.zeroconv.md` beside one that was not written here or was changed since.

    Args:
        folder: that the text is about.
        text: Markdown. A comment with its hash is added, by which it is known again.

    Returns:
        The file written.

    Raises:
        OSError: when it cannot be written.
    """
    path = folder / NAME
    if path.exists() and not is_ours(path):
        path = folder / BESIDE
        tell(Message(f"{folder / NAME} is not zeroconv's and stays; see {path.name} beside it", "file.kept", "info"))
    write_text(path, text.rstrip("\n") + "\n\n" + mark(text))
    return path


def is_ours(path: Path) -> bool:
    """Whether a README is as this project wrote it."""
    try:
        found = path.read_text("utf-8")
    except (OSError, ValueError):
        return False
    text, _, rest = found.rpartition(MARK)
    return BEFORE_MARKS in found if not rest or not text else mark(text) == MARK + rest


def mark(text: str) -> str:
    """The last line of a README, with a hash of what stands before it."""
    return f"{MARK}{hashlib.sha256(text.strip().encode()).hexdigest()[:16]} -->\n"
