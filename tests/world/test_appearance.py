"""What colours look like in a light, against pictures that were rendered in it."""

import numpy as np
import pytest

from zeroconv.metrics.colour import colour_shares
from zeroconv.world import make
from zeroconv.world.appearance import LIGHTS, LightName, colour_looks
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label
from zeroconv.world.mentions import read_caption

BRIGHT, LEVEL, DARK = "white", "grey", "black"


@pytest.mark.parametrize("light", LIGHTS)
def test_looks_keep_the_order_of_the_colours(light: LightName) -> None:
    looks = colour_looks("whole", light)
    assert looks.names == COLOUR_NAMES
    assert looks.rgb.shape == (len(looks.index), 3) and looks.rgb.min() >= 0 and looks.rgb.max() <= 1
    white, grey, black = (looks.rgb[looks.index == COLOUR_NAMES.index(name)] for name in (BRIGHT, LEVEL, DARK))
    assert (white > grey).all() and (grey > black).all()
    red = looks.rgb[looks.index == COLOUR_NAMES.index("red")]
    assert (red[:, 0] > red[:, 1:].max(1)).all() or light == "night"


def test_lights_differ() -> None:
    brightness = {light: colour_looks("whole", light).rgb.max() for light in LIGHTS}
    assert brightness["night"] < brightness["evening"] and brightness["night"] < brightness["day"]
    assert len({colour_looks("wall", light).rgb.tobytes() for light in LIGHTS}) == len(LIGHTS)


@pytest.mark.parametrize("seed", [910_000_004, 910_000_007, 910_000_009, 910_000_025])
def test_rendered_skies_look_like_their_time_of_day(seed: int) -> None:
    picture, looks = make(seed, size=32), colour_looks("sky", "day")
    (sky,) = (one for one in read_caption(picture.caption).mentions if one.noun == "sky")
    shares = colour_shares(picture.rgb[picture.classes == Label.SKY] / 255, looks.rgb, looks.index)
    assert looks.names[int(np.argmax(shares))] == sky.colour


def test_every_colour_that_captions_give_a_place_is_in_its_table() -> None:
    captions = [make(seed, size=16).caption for seed in range(24)]
    mentions = [one for caption in captions for one in read_caption(caption).mentions if one.colour]
    assert len(mentions) > 40
    for mention in mentions:
        assert mention.colour in colour_looks(mention.place, "day").names, mention
