"""An extractor's parameters: a pydantic model made from its signature checks them and describes them as JSON Schema."""

import sys
from collections.abc import Callable, Mapping
from functools import cache, reduce
from inspect import Parameter, signature
from operator import or_
from types import UnionType
from typing import Annotated, Any, get_args

import numpy as np
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema, create_model

from zeroconv.conditions.condition import Condition
from zeroconv.errors import InputError

__all__ = [
    "accepted_kwargs",
    "defaults",
    "device_parameters",
    "json_schema",
    "parameter_model",
    "read_value",
    "with_defaults",
    "without_device",
]

WORDS = {
    "boolean": "true or false", "integer": "a whole number", "number": "a finite number", "string": "text",
    "path": "a path", "picture": "a picture", "array": "some numbers", "null": "None",
}  # fmt: skip
"""What users call the types of JSON Schema, and its formats where they say more."""
CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


def read_value(text: str) -> bool | float | str:
    """A parameter's value as it is typed: yes or no for `true` and `false`, a number, or else a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def defaults(condition: Condition) -> dict[str, Any]:
    """What each parameter of `extract` is when it is left out."""
    return {name: field.default for name, field in model_of(condition).model_fields.items()}


def with_defaults(condition: Condition, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of `extract`, with the defaults of those that are not given; NumPy's numbers become Python's.

    Raises:
        InputError: for one that is unknown, or not of its type.
    """
    model = model_of(condition)
    for name in given:
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise InputError(f"{condition.name}: there is no parameter {name!r}; expected one of {known}", field=name)
    try:
        checked = model.model_validate(dict(given))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        expected = " or ".join(describe_types(json_schema(condition)["properties"][name]))
        raise InputError(f"{condition.name}: {name} is {given[name]!r:.60}; expected {expected}", field=name) from None
    return {name: getattr(checked, name) for name in model.model_fields}


def json_schema(condition: Condition) -> dict[str, Any]:
    """The parameters of `extract` as JSON Schema, such as a form is made from."""
    return model_of(condition).model_json_schema()


def device_parameters(condition: Condition, device: str) -> dict[str, Any]:
    """Where the networks of its extractor run, as parameters; empty where there are none.

    Args:
        condition: which.
        device: of torch, such as "cuda".
    """
    return {key: device for key in defaults(condition) if is_device(key)}


def without_device(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a map depends on: not where its network runs."""
    return {key: value for key, value in parameters.items() if not is_device(key)}


def is_device(key: str) -> bool:
    """Whether a parameter says where a network runs: "device", or of one of several conditions "depth.device"."""
    return key.rpartition(".")[2] == "device"


def accepted_kwargs(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given values that a function names among its parameters."""
    return {key: given[key] for key in signature(function).parameters if key in given}


def model_of(condition: Condition) -> type[BaseModel]:
    """The model of a condition's parameters; of several with the name of each before its own."""
    return several_model(condition) if condition.parts else parameter_model(condition.extract)


@cache
def several_model(condition: Condition) -> type[BaseModel]:
    """The model of the parameters of several conditions."""
    fields: dict[str, Any] = {
        condition.key(part, name): (field.rebuild_annotation(), field.default)
        for part in condition.parts
        for name, field in parameter_model(part.extract).model_fields.items()
    }
    return create_model("Parameters", __config__=CONFIG, **fields)


@cache
def parameter_model(extract: Callable[..., Image.Image]) -> type[BaseModel]:
    """The model of an extractor's parameters, with the detection resolution that all extractors have."""
    own = list(signature(extract, eval_str=True).parameters.values())[1:]
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    fields: dict[str, Any] = {one.name: (checked_type(one.annotation), one.default) for one in own if one.kind in kinds}
    fields["resolution"] = (checked_type(int | None), None)
    return create_model("Parameters", __config__=CONFIG, **fields)


def checked_type(annotation: Any) -> Any:
    """An annotation as pydantic reads it: numbers of NumPy count as Python's, 0 and 1 as a bool, 2.0 as an int."""
    members = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return Annotated[reduce(or_, (SPECIAL.get(member, member) for member in members)), BeforeValidator(to_python)]


def to_python(value: Any) -> Any:
    """A number as Python's own, whole ones as int.

    Raises:
        ValueError: for a whole number beyond all floats.
    """
    value = value.item() if isinstance(value, np.generic) else value  # bytes of NumPy overflow
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > sys.float_info.max:
        raise ValueError("too large")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_bool(value: Any) -> Any:
    """0 and 1 as a bool."""
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


SPECIAL: dict[Any, Any] = {
    bool: Annotated[bool, BeforeValidator(to_bool)],
    int: Annotated[int | float, WithJsonSchema({"type": "integer"})],  # of 2.5 the extractor says more: its range
    Image.Image: Annotated[Image.Image, WithJsonSchema({"type": "string", "format": "picture"})],
}


def describe_types(schema: Mapping[str, Any]) -> list[str]:
    """What a JSON Schema expects, in words."""
    if "anyOf" in schema:
        return [word for one in schema["anyOf"] for word in describe_types(one)]
    if "enum" in schema:
        return [str(value) for value in schema["enum"]]
    return [WORDS.get(schema.get("format", ""), WORDS.get(schema.get("type", ""), "another value"))]
