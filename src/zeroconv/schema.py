"""Settings and requests as frozen values: what does not fit is an `InputError` with the field's path."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from zeroconv.errors import InputError

__all__ = ["Schema"]


class Schema(BaseModel):
    """A frozen pydantic model without unknown fields.

    Attributes:
        noun: what a field is called in messages.

    Raises:
        InputError: for the first value that cannot be used, in one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    noun: ClassVar[str] = "field"

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.input_error(error) from error

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """From a dictionary, such as one of JSON."""
        try:
            return super().model_validate(obj, **settings)
        except ValidationError as error:
            raise cls.input_error(error) from error

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **settings: Any) -> Self:
        """From JSON text."""
        try:
            return super().model_validate_json(json_data, **settings)
        except ValidationError as error:
            raise cls.input_error(error) from error

    @classmethod
    def input_error(cls, error: ValidationError) -> InputError:
        """The first thing pydantic found, as one line with its field."""
        first = error.errors()[0]
        place, inner = [str(part) for part in first["loc"]], first.get("ctx", {}).get("error")
        while isinstance(inner, InputError) and isinstance(inner.__cause__, ValidationError):  # of a model inside this one
            first = inner.__cause__.errors()[0]
            place, inner = [*place, *map(str, first["loc"])], first.get("ctx", {}).get("error")
        name = ".".join(place)
        if isinstance(inner, InputError):
            return InputError(str(inner), field=name or inner.field)
        kind, known = first["type"], f"{cls.noun} {name!r}"
        if kind == "extra_forbidden":
            return InputError(f"there is no {known}", field=name)
        if inner is not None:  # raised by a validator, which has said what was got
            several = f"{cls.noun}s of {name!r}" if name else f"{cls.noun}s"
            about = known if first["loc"] else several
            return InputError(f"{about}: {inner}", field=name or None)
        wanted = first["msg"].removeprefix("Input should be ")
        said = first["msg"] if wanted == first["msg"] else f"expected {wanted}"
        return InputError(f"{known}: {said}, got {first['input']!r}", field=name or None)
