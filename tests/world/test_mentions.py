"""What is read in captions: everything that has a class, and nothing else."""

import pytest

from zeroconv.world import KINDS, scene
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label
from zeroconv.world.mentions import NOUNS, read_caption

NOT_LOOKED_FOR = """
    two three two-storey brick wooden striped checkered beach tiled round pine autumn blossom chimney hair blond
    standing waving walking running sitting arms raised spread wide hands hips empty
"""
HAIR = {"brown", "black", "red", "grey"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_unread_has_no_class(kind: str) -> None:
    for seed in range(20):
        built = scene(seed, kind)
        for visible in (True, False):
            caption = built.story.caption(built.draw.copy(), lambda name, visible=visible: visible)
            unread = set(read_caption(caption).unread)
            assert unread <= set(NOT_LOOKED_FOR.split()) | (HAIR if "hair" in unread else set()), caption


def test_things_and_their_colours_by_hand() -> None:
    caption = "a two-storey red brick house with a chimney and a teal roof in the snow at sunset, two pine trees, a beige wall"
    read = read_caption(caption)
    assert [(one.noun, one.colour, one.label, one.place) for one in read.mentions] == [
        ("house", "red", Label.HOUSE, "walls"),
        ("roof", "teal", Label.HOUSE, "roof"),
        ("ground", "snow", Label.EARTH, "ground"),
        ("sky", "evening", Label.SKY, "sky"),
        ("trees", None, Label.TREE, "leaves"),
        ("wall", "beige", Label.WALL, "wall"),
    ]
    assert read.unread == ("two-storey", "brick", "chimney", "two", "pine")
    assert [one.is_part for one in read.mentions] == [False, True, False, False, False, False]
    assert [one.noun for one in read.mentions if one.is_surrounding] == ["ground", "sky", "wall"]


@pytest.mark.parametrize(
    ("phrase", "noun", "colour"),
    [
        ("a red beach ball", "ball", "red"),
        ("a striped orange cylinder", "cylinder", "orange"),
        ("a wooden cube", "cube", None),
        ("an orange autumn tree", "tree", "orange"),
        ("in an autumn field", "ground", "autumn"),
        ("green bushes", "bushes", "green"),
        ("on green grass", "ground", "grass"),
        ("under a clear blue sky", "sky", "day"),
        ("on a cloudy day", "sky", "cloudy"),
        ("A Blue Pickup Truck", "pickup truck", "blue"),
        ("a grey floor lamp", "floor lamp", "grey"),
        ("a wooden floor", "floor", None),
    ],
)
def test_every_form_is_read(phrase: str, noun: str, colour: str | None) -> None:
    (mention,) = read_caption(phrase).mentions
    assert (mention.noun, mention.colour) == (noun, colour)


def test_words_of_other_worlds_are_handed_back() -> None:
    read = read_caption("a dog beside a red ball, carwash")
    assert [one.words for one in read.mentions] == ["red ball"]
    assert read.unread == ("dog", "beside", "carwash")
    assert read_caption("").mentions == read_caption("").unread == ()


def test_every_noun_is_read_in_every_colour() -> None:
    for noun, (label, place) in NOUNS.items():
        for colour in COLOUR_NAMES:
            (mention,) = read_caption(f"{colour} {noun}").mentions
            assert (mention.noun, mention.colour, mention.label, mention.place) == (noun, colour, label, place)
