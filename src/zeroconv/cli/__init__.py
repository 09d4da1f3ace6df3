"""The command line: `zeroconv demo | extract | generate | train | evaluate | convert | info | data`.

Exit codes: 0 done, 1 failed with one line on standard error, 2 wrong usage, 130 interrupted. Results go to standard
output (`--json`: exactly one object), progress and warnings to standard error.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from zeroconv.cli.app import app
from zeroconv.cli.console import say, to_printable

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: without the program's name; those of the process if left out.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two threads that spin on one busy core crawl
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = Once()
        try:
            app(list(sys.argv[1:] if arguments is None else arguments), prog_name="zeroconv")
        except SystemExit as leave:
            return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    return 0


class Once:
    """Says each warning in one line, and only once in a command."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def __call__(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Say a warning."""
        line = to_printable(str(message))
        if line not in self.said:
            self.said.add(line)
            say(f"warning: {line}")
