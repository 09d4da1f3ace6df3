"""The command line: `zeroconv demo | extract | generate | train | evaluate | convert | info | data`.

Exit codes: 0 done, 1 failed with one line on standard error, 2 wrong usage, 130 interrupted. Results go to standard
output (`--json`: exactly one object), progress and warnings to standard error.
"""

import os
import sys
from collections.abc import Sequence

from zeroconv.cli.app import app
from zeroconv.cli.console import hear_messages

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: without the program's name; those of the process if left out.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two threads that spin on one busy core crawl
    with hear_messages():
        try:
            app(list(sys.argv[1:] if arguments is None else arguments), prog_name="zeroconv")
        except SystemExit as leave:
            return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    return 0
