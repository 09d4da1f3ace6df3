"""Checks of maps on a corpus: nearly every wrong one is warned of with its reason, and nearly no right one."""

from collections import Counter
from functools import cache

import numpy as np
from PIL import ImageOps

from tests.conditions.corpus.maps import LINES, right, wrong
from zeroconv import conditions
from zeroconv.conditions.depth import check
from zeroconv.conditions.map_checks import flat_levels
from zeroconv.conditions.raster.morphology import to_map
from zeroconv.errors import InputError, NothingAskedError


@cache
def said_of_right() -> Counter[tuple[str, str, str]]:
    """How often each condition says each thing of maps of each kind that are in order."""
    return Counter(
        (case.condition, case.what, message.code)
        for case in right()
        for message in conditions.get(case.condition).check(case.image)
    )


def test_right_maps_are_left_alone() -> None:
    """Of each condition by itself, photographs' maps among them."""
    said = said_of_right()
    count = Counter(case.condition for case in right())
    assert count.keys() == set(conditions.names()) and count.total() > 900
    for name in count:
        of_it = [key for key in said.elements() if key[0] == name]
        assert len(of_it) <= 0.005 * count[name], (count[name], Counter(of_it))


def test_wrong_maps_are_warned_of_with_the_right_reason() -> None:
    missed = Counter[tuple[str, str, str]]()
    for case in wrong():
        codes = {message.code for message in conditions.get(case.condition).check(case.image)}
        if not codes & set(case.codes):
            missed[case.condition, case.what, ", ".join(codes) or "nothing"] += 1
    count = Counter(case.condition for case in wrong())
    assert count.keys() == set(conditions.names()) and count.total() > 2000
    for name in count:
        of_it = [key for key in missed.elements() if key[0] == name]
        assert len(of_it) <= 0.05 * count[name], (count[name], Counter(of_it))


def test_photographs_have_no_score_as_maps_of_lines_and_maps_have_one() -> None:
    """In colours and in grey; the error names the contract. Maps that are in order are never refused.

    Some photographs are black nearly everywhere, such as of stars, and hardly differ from a map.
    """
    pictures = [case for case in wrong() if case.condition in LINES and case.what in ("photograph", "grey photograph")]
    assert len(pictures) > 250
    scored: list[tuple[str, str]] = []
    for case in pictures:
        known = conditions.get(case.condition)
        try:
            known.fidelity(case.image, case.image)
            scored.append((case.condition, case.what))
        except InputError as error:
            assert not isinstance(error, NothingAskedError) and str(error).endswith(str(known.contract))
    assert len(scored) <= 0.06 * len(pictures), scored
    assert not [key for key in said_of_right() if key[2] in conditions.get(key[0]).refuses]


def test_inverted_depth_is_asked_about_and_a_bright_top_alone_is_not() -> None:
    exact = [case.image for case in right() if (case.condition, case.what) == ("depth", "exact")]
    bright = [case.image for case in right() if case.condition == "depth" and case.what.startswith(("a ceiling", "a treetop"))]
    asked = [[message.code for message in check(ImageOps.invert(image))] == ["map.inverted"] for image in exact]
    assert np.mean(asked) >= 0.95 and len(bright) == 4 * len(exact)
    assert not any(check(image) for image in bright)


def test_flat_levels_are_counted() -> None:
    steps = np.repeat(np.array([0, 60, 130, 255], np.uint8), 32)[None].repeat(96, axis=0)
    (message,) = check(to_map(steps))
    assert message.code == "map.classes" and "4 flat grey levels" in message.text
    ramp = np.linspace(0, 255, 128).astype(np.uint8)[:, None].repeat(96, axis=1)
    dim = ramp // 4 + 40  # flat in steps of eight rows, whose levels lie side by side
    assert flat_levels(ramp) == flat_levels(dim) == 0 and check(to_map(ramp)) == check(to_map(dim)) == []
    wall = ramp.copy()
    wall[:70] = 90  # a wall at one distance is no class
    assert flat_levels(wall) == 0
