"""What a user gave and cannot be used, said in one line."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["InputError", "NothingAskedError", "name_field", "under_field"]

PATH_ERRORS = {getattr(errno, name) for name in ("EACCES", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM")}
"""What the system says of a path that cannot be opened, whoever wrote it."""


class InputError(ValueError):
    """A value from outside (a request, a settings file, a data set) that cannot be used.

    Args:
        message: one line: what was got and what was expected.
        field: where the value stands, as a path such as "controls.0.scale" or "optimization.learning_rate"; None where it has
            no name. An HTTP answer or a form marks the field by it.
        hint: what to do about it, appended to the message after a colon.
    """

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}: {hint}")
        self.field = field
        self.hint = hint

    def __reduce__(self) -> tuple[type["InputError"], tuple[str], dict[str, str | None]]:
        """Pickled with its field: errors cross process borders."""
        return type(self), (str(self),), {"field": self.field, "hint": self.hint}


class NothingAskedError(InputError):
    """A map that is in order and asks for nothing (nobody on it, no line): pictures have no score by it."""


@contextmanager
def under_field(field: str) -> Generator[None]:
    """The fields of errors inside are parts of this one: "layers" becomes "controls.0.layers".

    Raises:
        InputError: in place of one without the whole path.
    """
    try:
        yield
    except InputError as error:
        inner = error.field
        if inner is not None and (inner == field or inner.startswith(f"{field}.")):
            raise
        raise rename_field(error, f"{field}.{inner}" if inner else field) from error


@contextmanager
def name_field(field: str) -> Generator[None]:
    """Whatever a user can mend inside is an error of this field, or of a part of it that it names itself.

    The system's own errors are, if they are about a path; a full disk or a network that is down stays what it is.

    Raises:
        InputError: in place of a `ValueError`, or an `OSError` that says what is wrong with a path.
    """
    try:
        yield
    except InputError as error:
        if error.field is not None and (error.field == field or error.field.startswith(f"{field}.")):
            raise
        raise rename_field(error, field) from error
    except ValueError as error:
        raise InputError(str(error), field=field) from error
    except OSError as error:
        if error.strerror is None:
            raise InputError(str(error), field=field) from error
        if error.errno not in PATH_ERRORS:
            raise
        path = "" if error.filename is None else f"{shorten(str(error.filename))}: "
        raise InputError(f"{path}{error.strerror}", field=field) from error


def rename_field(error: InputError, field: str) -> InputError:
    """The same error of another field."""
    renamed = InputError(str(error), field=field)
    renamed.hint = error.hint
    return renamed


def shorten(text: str, letters: int = 80) -> str:
    """The beginning of a long text."""
    return text if len(text) <= letters else f"{text[:letters]}…"
