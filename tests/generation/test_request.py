"""One description of what is asked for: frozen, complete as JSON, and wrong values are one line with their field."""

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zeroconv.cli.controls import MODES
from zeroconv.control import WEIGHTINGS
from zeroconv.diffusion import SAMPLERS, canonical_sampler
from zeroconv.errors import InputError
from zeroconv.generation import ControlRequest, GenerationRequest
from zeroconv.generation.parameters_text import sampler_title
from zeroconv.generation.request import ResizeMode

numbers = st.floats(-4, 4)
words = st.text(min_size=1)
controls = st.builds(
    ControlRequest,
    network=words,
    condition=words,
    mask=st.none() | words,
    scale=numbers,
    start=st.floats(0, 0.5),
    end=st.floats(0.6, 1),
    layers=st.none() | st.lists(numbers, min_size=10, max_size=13).map(tuple),
)
requests = st.builds(
    GenerationRequest,
    prompt=st.text(),
    negative_prompt=st.text(),
    controls=st.lists(controls, max_size=2).map(tuple),
    seed=st.integers(0, 2**63),
    guidance_scale=numbers,
    sampler=st.sampled_from(SAMPLERS),
    size=st.none() | st.tuples(st.integers(8, 99), st.integers(8, 99)),
    base=st.fixed_dictionaries({"name": words, "loras": st.lists(st.fixed_dictionaries({"path": words, "weight": numbers}))}),
)


@given(requests)
def test_json_and_back_is_the_same_request(request: GenerationRequest) -> None:
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request
    assert GenerationRequest.model_validate(json.loads(json.dumps(request.model_dump(mode="json")))) == request


def test_a_request_is_frozen_and_a_base_can_be_a_name() -> None:
    request = GenerationRequest.model_validate({"prompt": "a red house", "base": "tiny"})
    assert request == GenerationRequest(prompt="a red house") and request.base.name == "tiny"
    with pytest.raises(ValueError, match="frozen"):
        request.prompt = "another"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_schema_has_every_choice_and_says_what_each_field_is() -> None:
    schema = GenerationRequest.model_json_schema()
    assert tuple(schema["properties"]["sampler"]["enum"]) == SAMPLERS
    assert all(canonical_sampler(sampler_title(name)) == name for name in SAMPLERS)
    assert tuple(schema["properties"]["weighting"]["enum"]) == WEIGHTINGS
    assert get_args(ResizeMode) == MODES
    for name in ("ControlRequest", "BaseRequest", "LoRARequest"):
        assert all(field.get("description") for field in schema["$defs"][name]["properties"].values())


def test_reports_leave_the_pictures_out() -> None:
    control = ControlRequest(network="canny", condition="data:image/png;base64,AAAA", scale=0.5)
    (entry,) = GenerationRequest(prompt="", controls=(control,)).without_pictures()["controls"]
    assert entry == {"network": "canny", "scale": 0.5, "start": 0.0, "end": 1.0, "layers": None, "masked": False}
    masked = control.model_copy(update={"mask": "mask.png"})
    assert GenerationRequest(prompt="", controls=(masked,)).without_pictures()["controls"][0]["masked"] is True


CONTROL: dict[str, Any] = {"network": "canny", "condition": "map.png"}
WRONG: list[tuple[dict[str, Any], str | None, str]] = [
    ({"prompt": None}, "prompt", "prompt is None; expected a valid string"),
    ({"promt": "x"}, "promt", "promt is not known"),
    ({"sampler": "plms"}, "sampler", "sampler is 'plms'; expected one of ddim, dpm++2m, "),
    ({"weighting": "steep"}, "weighting", "weighting is 'steep'; expected 'uniform', "),
    ({"num_inference_steps": 0}, "num_inference_steps", "num_inference_steps is 0; expected greater than or equal to 1"),
    ({"guidance_scale": math.nan}, "guidance_scale", "guidance_scale is nan; expected a finite number, usually 1 to 15"),
    ({"guidance_scale": 1e38}, "guidance_scale", "guidance_scale is 1e+38; expected less than or equal to 10000, usually"),
    (
        {"controls": [{"network": "a", "condition": "b", "scale": -1e38}]},
        "controls.0.scale",
        "scale is -1e+38; expected",
    ),
    (
        {"controls": [{"network": "a", "condition": "b", "layers": [1, 1e9]}]},
        "controls.0.layers.1",
        "layers.1 is 1000000000.0; expected",
    ),
    ({"size": (64, 16392)}, "size.1", "size.1 is 16392; expected less than or equal to 16384"),
    ({"seed": 2**64}, "seed", "seed is 18446744073709551616; expected less than"),
    ({"size": (64, 0)}, "size.1", "size.1 is 0; expected greater than 0"),
    ({"base": {"dtype": "int8"}}, "base.dtype", "dtype is 'int8'; expected 'float32', "),
    ({"controls": [CONTROL, {**CONTROL, "scale": math.inf}]}, "controls.1.scale", "scale is inf; expected a finite number"),
    ({"controls": [{**CONTROL, "start": 0.8, "end": 0.2}]}, "controls.0.start", "the step window is 0.8 to 0.2; expected "),
    ({"controls": [{"network": "canny"}]}, "controls.0.condition", "canny got neither of image and condition; expected one"),
    ({"controls": [{**CONTROL, "image": "a.png"}]}, "controls.0.condition", "canny got both of image and condition; expected"),
    ({"controls": [{"condition": "map.png"}]}, "controls.0.network", "network is missing"),
]


@pytest.mark.parametrize(("change", "field", "message"), WRONG, ids=lambda value: value if isinstance(value, str) else None)
def test_wrong_values_are_one_line_with_their_field(change: dict[str, Any], field: str, message: str) -> None:
    values: dict[str, Any] = {"prompt": "a red house", **change}
    for build in (lambda: GenerationRequest(**values), lambda: GenerationRequest.model_validate(values)):
        with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
            build()
        assert caught.value.field == field and str(caught.value).startswith(message)


def test_json_that_is_none_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^the request is not JSON: EOF while parsing[^\n]+$"):
        GenerationRequest.model_validate_json("{")


def test_of_many_broken_controls_the_first_is_enough() -> None:
    with pytest.raises(InputError, match="network is missing") as caught:
        GenerationRequest.model_validate({"prompt": "x", "controls": [{}] * 1000})
    assert isinstance(caught.value.__cause__, ValidationError) and caught.value.__cause__.error_count() == 1
