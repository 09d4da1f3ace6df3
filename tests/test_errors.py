"""An input error is a `ValueError` of one line that names its field, in other processes too."""

import pickle

from zeroconv.errors import InputError


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
