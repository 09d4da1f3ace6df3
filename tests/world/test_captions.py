"""Captions speak a small language, and only of what can be seen."""

import re

import numpy as np
import pytest

from zeroconv.world import KINDS, Picture, make, scene
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label
from zeroconv.world.things.thing import listing, with_article

LANGUAGE = """
    a an and apple arms at autumn ball beach beige blond blossom book bookshelf both brick bushes car carpet
    chair checkered chimney clear cloudy cone cube cylinder day desert door empty evening fence field floor
    flowers grass hair hands hips house in indoors lake lamp living man mountains night on painting path person
    pickup pine plant pot pyramid raised rocks roof room round rug running sand shirt sitting sky snow sofa
    spread standing striped sunny sunset table teapot the three tiled tree trees trousers truck two two-storey
    under van vase walking wall waving wide window with woman wooden
"""
WORDS = set(COLOUR_NAMES) | set(LANGUAGE.split())
LONGEST = 47
"""Words; the embedded tokenizer keeps 48 tokens."""
SEEN: dict[str, tuple[Label, ...]] = {
    "tree": (Label.TREE,),
    "trees": (Label.TREE,),
    "ball": (Label.BALL,),
    "fence": (Label.FENCE,),
    "bushes": (Label.PLANT,),
    "rocks": (Label.ROCK,),
    "sofa": (Label.SOFA,),
    "rug": (Label.RUG,),
    "lamp": (Label.LAMP,),
    "chair": (Label.CHAIR,),
    "bookshelf": (Label.SHELF,),
    "painting": (Label.PAINTING,),
    "window": (Label.WINDOW, Label.WALL),
    "table": (Label.TABLE,),
    "house": (Label.HOUSE,),
    "car": (Label.CAR,),
    "van": (Label.CAR,),
    "teapot": (Label.POT,),
    "vase": (Label.VASE,),
    "man": (Label.PERSON,),
    "woman": (Label.PERSON,),
}
SIZE = 48


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [make(5000 + index, kind, SIZE) for index, kind in enumerate(KINDS * 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_all_captions_use_the_closed_vocabulary(kind: str) -> None:
    for seed in range(8):
        built = scene(seed, kind)
        for visible in (True, False):
            caption = built.story.caption(built.draw.copy(), lambda name, visible=visible: visible)
            words = re.findall(r"[a-z-]+", caption)
            assert set(words) <= WORDS
            assert 1 < len(words) <= LONGEST
            assert re.fullmatch(r"[a-z, -]+", caption)
            assert "  " not in caption
            assert " ," not in caption


def test_named_things_cover_enough_of_the_picture(pictures: list[Picture]) -> None:
    for picture in pictures:
        for word in set(re.findall(r"[a-z-]+", picture.caption)) & set(SEEN):
            share = np.isin(picture.classes, SEEN[word]).mean()
            assert share > 0.002, (word, picture.caption)


def test_unseen_things_are_not_named() -> None:
    for kind in ("room", "house"):
        built = scene(8, kind)
        everything = built.story.caption(built.draw.copy(), lambda name: True)
        nothing = built.story.caption(built.draw.copy(), lambda name: False)
        assert len(nothing) < len(everything)


def test_articles_agree(pictures: list[Picture]) -> None:
    for picture in pictures:
        for article, word in re.findall(r"\b(an?) ([a-z]+)", picture.caption):
            assert article == ("an" if word[0] in "aeio" else "a")


def test_words_are_joined_as_people_join_them() -> None:
    assert with_article("orange ball") == "an orange ball"
    assert with_article("red ball") == "a red ball"
    assert listing(["x"]) == "x"
    assert listing(["x", "y"]) == "x and y"
    assert listing(["x", "y", "z"]) == "x, y and z"
