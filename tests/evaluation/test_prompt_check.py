"""The prompt check: on painted pictures whose answer is known, on true scenes, and in an evaluation."""

from dataclasses import replace

import numpy as np
from PIL import Image

from zeroconv.evaluation.prompt_check import Seen, check_caption, check_prompts, light_in
from zeroconv.evaluation.prompt_findings import PromptCheck, share_found, share_in_colour
from zeroconv.evaluation.regions import near_lines, region_of
from zeroconv.world import make
from zeroconv.world.appearance import colour_looks
from zeroconv.world.geometry.palette import Label

SIDE = 64
RED, BLUE, GREY = (colour_looks("whole", "indoors").rgb[colour_looks("whole", "indoors").index == i][3] for i in (0, 4, 9))


def room(*things: tuple[Label, tuple[int, int, int, int], np.ndarray]) -> Seen:
    """A white room with things: class, box (left, top, right, bottom), colour."""
    rgb, classes = np.full((SIDE, SIDE, 3), 0.8), np.full((SIDE, SIDE), int(Label.WALL))
    for label, (left, top, right, bottom), colour in things:
        rgb[top:bottom, left:right], classes[top:bottom, left:right] = colour, label
    return Seen((rgb * 255).round().astype(np.uint8), classes, np.zeros((18, 2)))


def verdicts(check: PromptCheck) -> list[tuple[bool, bool | None]]:
    return [(one.found, one.in_colour) for one in check.findings]


def test_a_thing_is_found_by_its_class_and_judged_by_its_colour() -> None:
    ball = room((Label.BALL, (10, 10, 30, 30), RED))
    assert verdicts(check_caption("a red ball", ball)) == [(True, True)]
    assert verdicts(check_caption("a blue ball", ball)) == [(True, False)]
    assert verdicts(check_caption("a ball", ball)) == [(True, None)]
    assert verdicts(check_caption("a red cube", ball)) == [(False, False)]
    assert verdicts(check_caption("a painting", ball)) == [(False, None)]
    speck = room((Label.BALL, (10, 10, 12, 13), RED))
    assert verdicts(check_caption("a red ball", speck)) == [(False, False)]


def test_two_of_a_class_are_found_where_two_can_be_told_apart() -> None:
    touching = room((Label.BOX, (10, 10, 20, 30), RED), (Label.BOX, (20, 10, 30, 30), BLUE))
    assert verdicts(check_caption("a red cube and a blue book", touching)) == [(True, True), (True, True)]
    assert verdicts(check_caption("a grey cube and a blue book", touching)) == [(False, False), (True, True)]
    apart = room((Label.BOX, (10, 10, 20, 30), RED), (Label.BOX, (24, 10, 34, 30), RED))
    assert verdicts(check_caption("a red cube and a red cube", apart)) == [(True, True), (True, True)]
    assert verdicts(check_caption("a red cube and a blue cube", apart)) == [(True, True), (True, False)]
    one = room((Label.BOX, (10, 10, 30, 30), RED))
    assert verdicts(check_caption("a red cube and a red cube", one)) == [(True, True), (False, False)]


def test_walls_and_roof_are_told_apart_by_their_height() -> None:
    house = room((Label.HOUSE, (10, 10, 50, 30), BLUE), (Label.HOUSE, (10, 30, 50, 60), RED))
    check = check_caption("a red house with a blue roof", house)
    assert verdicts(check) == [(True, True), (True, True)]
    assert check.counts() == (1, 1, 2, 2)  # a roof is not a thing of its own
    assert verdicts(check_caption("a blue house with a red roof", house)) == [(True, False), (True, False)]


def test_clothes_are_where_the_joints_say() -> None:
    joints = np.zeros((18, 2))
    places = ((32, 10), (26, 10), (38, 10), (28, 30), (36, 30), (28, 42), (36, 42), (28, 54), (36, 54))
    joints[[1, 2, 5, 8, 11, 9, 12, 10, 13]] = np.array(places)
    person = room((Label.PERSON, (22, 4, 42, 30), RED), (Label.PERSON, (22, 30, 42, 58), BLUE))
    dressed = replace(person, joints=joints)
    assert verdicts(check_caption("a man in a red shirt and blue trousers", dressed))[1:] == [(True, True), (True, True)]
    assert verdicts(check_caption("a man in a blue shirt and red trousers", dressed))[1:] == [(True, False), (True, False)]
    there = person.classes == Label.PERSON
    assert (region_of("shirt", there, np.zeros((18, 2))) == there).all()  # joints elsewhere: the whole person


def test_pixels_near_a_line() -> None:
    near = near_lines((5, 8), [(np.array([2.5, 2.5]), np.array([5.5, 2.5]))], 1)
    assert near.sum() == 4 * 3 + 2 and near[2, 1:7].all() and near[1, 2:6].all()
    assert near_lines((5, 5), [(np.array([2.5, 2.5]), np.array([2.5, 2.5]))], 1).sum() == 5


def test_the_light_is_read_from_the_sky() -> None:
    looks = colour_looks("sky", "day")
    for index, name in enumerate(looks.names):
        sky = room((Label.SKY, (0, 0, SIDE, 20), looks.rgb[looks.index == index][0]))
        assert light_in(sky) == name
        assert verdicts(check_caption("at night", sky)) == [(True, name == "night")]
    assert light_in(room()) == "indoors"
    assert light_in(room((Label.GRASS, (0, 0, SIDE, SIDE), RED))) == "day"


def test_shares_are_of_things_not_of_pictures() -> None:
    ball = room((Label.BALL, (10, 10, 30, 30), RED))
    checks = [check_caption(text, ball) for text in ("a red ball, a car, a sofa", "a ball", "a white wall")]
    found, colour = share_found(checks), share_in_colour(checks)
    assert found is not None and found.value == 2 / 4 and found.low <= 0.5 <= found.high
    assert colour is not None and colour.value == 1
    missed = [check_caption("a red ball and a blue car", ball)]
    assert [one and one.value for one in (share_in_colour(missed), share_in_colour(missed, of_found=True))] == [0.5, 1]
    walls = share_found(checks, surroundings=True)
    assert walls is not None and walls.value == 1
    assert share_found([]) is share_in_colour([check_caption("a dog", ball)]) is None
    assert check_caption("a dog", ball).unread == ("dog",)


def test_true_scenes_have_what_their_captions_name_and_not_what_others_name() -> None:
    scenes = [make(910_000_000 + index) for index in range(8)]
    captions, images = [one.caption for one in scenes], [Image.fromarray(one.rgb) for one in scenes]
    true = check_prompts(captions, images)
    other = check_prompts([*captions[1:], captions[0]], images)
    for share, ceiling, floor in ((share_found, 0.9, 0.4), (share_in_colour, 0.9, 0.15)):
        high, low = share(true), share(other)
        assert high is not None and high.value >= ceiling
        assert low is not None and low.value <= floor
