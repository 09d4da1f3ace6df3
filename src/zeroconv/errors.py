"""What a user gave and cannot be used, said in one line."""

__all__ = ["InputError"]


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
