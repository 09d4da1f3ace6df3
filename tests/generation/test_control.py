"""One control of a request: its numbers are checked before anything runs."""

import math
from typing import Any

import pytest

from tests.tiny import build_control, build_map
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.generation import Control


@pytest.fixture(scope="module")
def network(unet: Any) -> ControlNet:
    return build_control(unet)


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_scales_that_are_not_finite_are_one_line(network: ControlNet, scale: float) -> None:
    with pytest.raises(InputError, match=r"^scale is -?(nan|inf); expected a finite number, usually 0 to 2$") as caught:
        Control(network, build_map(), scale=scale)
    assert caught.value.field == "scale"
    with pytest.raises(InputError, match=r"^a layer weight is -?(nan|inf); expected a finite number$") as caught:
        Control(network, build_map(), layers=[1.0] * 12 + [scale])
    assert caught.value.field == "layers"


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.6, 0.4), (-0.1, 1), (0, 1.2), (math.nan, 1), (0, math.nan)])
def test_windows_that_are_empty_or_reversed_are_one_line(network: ControlNet, start: float, end: float) -> None:
    with pytest.raises(ValueError, match=r"^the step window is .*; expected 0 <= start < end <= 1$"):
        Control(network, build_map(), start=start, end=end)


def test_one_map_serves_every_picture_and_several_one_each(network: ControlNet) -> None:
    maps = [build_map(seed=seed) for seed in range(2)]
    assert Control(network, maps[0]).condition_map(5) is maps[0]
    assert Control(network, maps).condition_map(1) is maps[1]
    with pytest.raises(ValueError, match=r"^a control has 2 maps, picture 3 needs one: give one map, or one each$"):
        Control(network, maps).condition_map(2)
