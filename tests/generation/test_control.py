"""One control of a request: its numbers are checked before anything runs."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny import build_control, build_map
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.generation import Control
from zeroconv.messages import MessageWarning, listen


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


def edges(seed: int, inverted: bool = False) -> Image.Image:
    """A map of canny with a white square; or black strokes on white."""
    values = np.zeros((64, 64), np.uint8)
    values[8 + seed : 40, [8, 40]] = values[[8 + seed, 40], 8:41] = 255
    return Image.fromarray(255 - values if inverted else values).convert("RGB")


def told_by(*arguments: Any, **settings: Any) -> list[tuple[str, str]]:
    """Codes and texts, up to the colon, of the messages when a control is made."""
    found: list[tuple[str, str]] = []
    with listen(lambda message: found.append((message.code, message.text.partition(":")[0]))):
        Control(*arguments, **settings)
    return found


def test_a_map_is_looked_over_once_where_it_enters(unet: Any, tmp_path: Path) -> None:
    network, path, wrong = build_control(unet), str(tmp_path / "a.png"), edges(0, inverted=True)
    network.config = replace(network.config, condition="canny")
    network.name = "my-canny"
    wrong.save(path)
    assert told_by(network, wrong) == told_by(network, np.asarray(wrong)) == [("map.inverted", "the map of my-canny")]
    assert told_by(network, path) == told_by(network, Path(path)) == [("map.inverted", path)]
    second = ("map.inverted", "map 2 of my-canny")
    assert told_by(network, [edges(0), wrong, edges(1), path]) == [second, ("map.inverted", path)]
    assert told_by(network, [wrong, wrong]) == [("map.inverted", "map 1 of my-canny")]
    assert told_by(network, edges(0)) == told_by(network, wrong, checked=wrong) == told_by(build_control(unet), wrong) == []
    with pytest.warns(MessageWarning, match="looks inverted") as warned:
        control = Control(network, wrong)
    assert warned[0].filename == __file__
    assert replace(control, scale=0.5).scale == 0.5  # warnings are errors: it is not told again
    several = Control(network, [edges(0), edges(1)])
    with pytest.warns(MessageWarning, match="looks inverted"):
        replace(several, image=[several.condition_map(0), wrong])
