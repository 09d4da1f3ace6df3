"""From exceptions to exit codes: one line for what went wrong, whatever it was."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from zeroconv.cli.console import say, to_printable

__all__ = ["Commands", "one_line"]

EXPECTED = (ValueError, OSError, FloatingPointError)
"""What the library raises for what a user can change; anything else is our own mistake."""


class Commands(TyperGroup):
    """A group whose commands end in an exit code and one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output left
            raise typer.Exit(1) from None
        except EXPECTED as error:
            fail(one_line(error), error)
        except RuntimeError as error:
            if "out of memory" in str(error).lower():
                fail("the device is out of memory: make fewer or smaller pictures at once", error)
            if hasattr(error, "exit_code"):  # typer's own
                raise
            fail_unexpected(error)
        except Exception as error:
            if hasattr(error, "exit_code"):
                raise
            fail_unexpected(error)


def fail(line: str, error: Exception) -> None:
    """Say one line and leave with 1; `ZEROCONV_DEBUG=1` shows where it came from instead.

    Raises:
        typer.Exit: always, but for debugging.
    """
    if os.environ.get("ZEROCONV_DEBUG"):
        raise error
    say(f"error: {line}")
    raise typer.Exit(1) from None


def fail_unexpected(error: Exception) -> None:
    """The same for what should not have happened."""
    fail(f"unexpected {type(error).__name__}: {one_line(error)} (ZEROCONV_DEBUG=1 shows more)", error)


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks; for the system's own errors, file and reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return to_printable(str(error)) or type(error).__name__
