"""An input error is a `ValueError` of one line that names its field, in other processes too."""

import errno
import pickle

import pytest

from zeroconv.errors import InputError, name_field, under_field


def test_it_is_a_value_error_that_says_what_to_do():
    error = InputError("the scale is -1; expected 0 or more", field="controls.0.scale", hint="use 1.0")
    assert isinstance(error, ValueError)
    assert str(error) == "the scale is -1; expected 0 or more: use 1.0"
    assert (error.field, error.hint) == ("controls.0.scale", "use 1.0")


def test_without_a_field_it_is_its_message():
    error = InputError("nothing to do")
    assert (str(error), error.field, error.hint) == ("nothing to do", None, None)


def test_it_survives_pickling():
    error = pickle.loads(pickle.dumps(InputError("too large", field="size", hint="make it smaller")))
    assert (str(error), error.field, error.hint) == ("too large: make it smaller", "size", "make it smaller")


@pytest.mark.parametrize(
    ("field", "path"), [("layers", "controls.0.layers"), ("controls.0", "controls.0"), (None, "controls.0")]
)
def test_a_field_gets_its_whole_path(field: str | None, path: str):
    with pytest.raises(InputError, match=r"^wrong: mend it$") as caught, under_field("controls.0"):
        raise InputError("wrong", field=field, hint="mend it")
    assert (caught.value.field, caught.value.hint) == (path, "mend it")


def test_errors_about_a_path_are_errors_of_the_field_and_others_stay():
    with pytest.raises(InputError, match=r"^a{80}…: File name too long$") as caught, name_field("base"):
        open("a" * 5000)  # noqa: PTH123, SIM115
    assert caught.value.field == "base"
    with pytest.raises(OSError, match="No space") as full, name_field("base"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(full.value, InputError)
    with pytest.raises(InputError) as inner, name_field("base"):
        raise InputError("wrong", field="base.vae")
    assert inner.value.field == "base.vae"
