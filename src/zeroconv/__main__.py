"""`python -m zeroconv` is the command `zeroconv`."""

import sys

from zeroconv.cli import main

if __name__ == "__main__":
    sys.exit(main())
