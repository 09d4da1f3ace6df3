"""Why something was not done, in one shape for every place that shows it."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from zeroconv.errors import InputError

__all__ = ["BusyError", "Failure", "MissingError", "ServiceError"]


@dataclass(frozen=True)
class Failure:
    """An error as plain values.

    Attributes:
        code: what kind it is, for programs, such as "input", "busy", "deadline" or "worker-died".
        message: one line.
        field: of the request, such as "controls.0.scale", where it belongs to one.
        hint: what to do about it, if it is not in the message.
    """

    code: str
    message: str
    field: str | None = None
    hint: str | None = None

    @classmethod
    def of_input(cls, error: InputError, field: str | None = None) -> Self:
        """What a user gave and cannot be used; the hint stands on its own.

        Args:
            error: it.
            field: for an error that names none.
        """
        message = str(error)
        if error.hint is not None:
            message = message.removesuffix(f": {error.hint}")
        return cls("input", " ".join(message.split()), error.field or field, error.hint)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class ServiceError(Exception):
    """What was asked for is not done, and why.

    Args:
        failure: why.
        retry_after: seconds after which it may be tried again; None where that would not help.
    """

    def __init__(self, failure: Failure, retry_after: int | None = None) -> None:
        super().__init__(failure.message)
        self.failure, self.retry_after = failure, retry_after


class BusyError(ServiceError):
    """The queue has no place now.

    Args:
        message: one line.
        retry_after: seconds.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(Failure("busy", message, hint=f"try again in {retry_after} s"), retry_after)


class MissingError(ServiceError):
    """There is no such job or picture.

    Args:
        message: one line.
        field: of a request that names it.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(Failure("missing", message, field))
