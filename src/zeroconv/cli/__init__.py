"""The command line: `zeroconv demo | extract | generate | train | evaluate | convert | info | data`.

Exit codes: 0 done, 1 failed with one line on standard error, 2 wrong usage, 130 interrupted. Results go to standard
output (`--json`: exactly one object), progress and warnings to standard error.
"""

import os
import sys
from collections.abc import Sequence

from zeroconv.cli.app import app
from zeroconv.cli.console import hear_messages

__all__ = ["HOW", "WAITING", "app", "main"]

WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
"""How threads wait for each other: by their user's own choice where there is one."""
HOW = {"GOMP_SPINCOUNT": "3000"} if sys.platform == "linux" else {"OMP_WAIT_POLICY": "PASSIVE"}
"""They spin for as long as a small operation takes, then sleep: two that spin on one busy core crawl."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: without the program's name; those of the process if left out.
    """
    if not WAITING & os.environ.keys():
        os.environ |= HOW
    with hear_messages():
        try:
            app(list(sys.argv[1:] if arguments is None else arguments), prog_name="zeroconv")
        except SystemExit as leave:
            return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    return 0
