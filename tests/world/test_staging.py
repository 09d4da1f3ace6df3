"""Laws of stages: what is read from a seed gives that seed's picture, and what is moved is seen where it went."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from zeroconv.data.world_pairs import truth
from zeroconv.errors import InputError
from zeroconv.world import KINDS, make
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label
from zeroconv.world.staging import PlacedThing, StageDescription, StagePicture, describe_seed, photograph
from zeroconv.world.staging import kinds as choices
from zeroconv.world.staging.fresh import fresh

SIZE = 48
EXACT = ("rgb", "distance", "normals", "classes")
CONDITIONS = ("depth", "normal", "segmentation", "pose", "canny")
OWN = StageDescription.model_validate({"kind": "house", "seed": 3, "camera": {"distance": 6, "height": 1.5, "aim": 0.8}})
PERSON = PlacedThing(kind="person", variety="waving", look=4)


def stage_of(*things: PlacedThing, **changes: Any) -> StageDescription:
    return StageDescription.model_validate({**OWN.model_dump(), "things": things, **changes})


def with_camera(stage: StageDescription, **values: Any) -> StageDescription:
    return stage.model_copy(update={"camera": stage.camera.model_copy(update=values)})


@cache
def seen_as(stage: str, width: int, height: int | None) -> StagePicture:
    return photograph(StageDescription.model_validate_json(stage), width, height)


def seen(stage: StageDescription, width: int = SIZE, height: int | None = None) -> StagePicture:
    return seen_as(stage.model_dump_json(), width, height)


def area(picture: StagePicture, thing: int = 0) -> int:
    return int((picture.seen == thing).sum())


def middle(picture: StagePicture, thing: int = 0) -> tuple[float, float]:
    rows, columns = np.nonzero(picture.seen == thing)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize(("seed", "kind"), [*((700 + i, kind) for i, kind in enumerate(KINDS)), (702, None)])
def test_the_stage_of_a_seed_gives_its_picture_bit_for_bit(seed: int, kind: str | None) -> None:
    stage = describe_seed(seed, kind)
    assert StageDescription.model_validate_json(stage.model_dump_json()) == stage
    picture, wanted = photograph(stage, SIZE), make(seed, kind, SIZE)
    assert picture.kind == wanted.kind
    for name in EXACT:
        np.testing.assert_array_equal(getattr(picture, name), getattr(wanted, name))
    for condition in CONDITIONS:
        assert truth(picture, condition).tobytes() == truth(wanted, condition).tobytes()


def test_what_stands_farther_is_smaller_and_what_stands_behind_is_hidden() -> None:
    ball = PlacedThing(kind="ball", size=2)
    alone = seen(stage_of(ball))
    assert area(alone) > 2 * area(seen(stage_of(ball.model_copy(update={"z": 6.0}))))
    assert area(alone) > 2 * area(seen(with_camera(stage_of(ball), distance=12.0)))
    house = PlacedThing(kind="house", z=-1.0)
    assert area(seen(stage_of(ball.model_copy(update={"z": 4.0}), house))) == 0
    assert area(seen(stage_of(ball.model_copy(update={"z": -3.5}), house))) > 0


def test_right_is_right_and_the_camera_goes_round() -> None:
    ball = stage_of(PlacedThing(kind="ball", x=1.0, size=2))
    assert middle(seen(ball))[0] > SIZE / 2
    assert middle(seen(with_camera(ball, angle=180.0)))[0] < SIZE / 2
    # from the right it is in the middle, and nearer
    aside = seen(with_camera(ball, angle=90.0))
    assert abs(middle(aside)[0] - SIZE / 2) < 2 and area(aside) > area(seen(ball))


def test_turning_a_thing_and_the_camera_together_changes_nothing_seen_of_it() -> None:
    car = PlacedThing(kind="car", turn=20.0, look=2)
    still = seen(stage_of(car, light={"elevation": 90}))
    # the camera goes to the right, a thing that looks at it turns to its left: against the clock
    turned = seen(with_camera(stage_of(car.model_copy(update={"turn": -40.0}), light={"elevation": 90}), angle=60.0))
    both = (still.seen == 0) & (turned.seen == 0)
    assert both.sum() > 0.97 * area(still)
    assert np.median(np.abs(still.distance[both] - turned.distance[both])) < 1e-3
    assert np.median(np.abs(still.normals - turned.normals)[both]) < 1e-3


@pytest.mark.parametrize("kind", [kind for kind in choices.KINDS if kind not in choices.ON_WALL])
def test_a_thing_twice_as_large_twice_as_far_looks_the_same(kind: choices.ThingKind) -> None:
    """An oracle for every way a solid is moved: sizes and distances double, depth does too, normals stay."""
    one = stage_of(PlacedThing(kind=kind, turn=30, look=1), camera={"distance": 4, "height": 1.2, "aim": 0.6})
    two = stage_of(PlacedThing(kind=kind, turn=30, look=1, size=2), camera={"distance": 8, "height": 2.4, "aim": 1.2})
    small, large = seen(one, 32), seen(two, 32)
    both = (small.seen == 0) & (large.seen == 0)
    assert both.sum() >= 0.9 * max(area(small), 1) and area(small) > 0
    np.testing.assert_allclose(np.median(large.distance[both] / small.distance[both]), 2, rtol=1e-3)
    assert np.median(np.abs(small.normals - large.normals)[both]) < 1e-3


def test_joints_lie_on_the_person() -> None:
    one = PERSON.model_copy(update={"x": -0.8, "turn": 25.0, "size": 1.2})
    two = PERSON.model_copy(update={"x": 0.9, "variety": "with arms spread wide", "z": 1.0})
    picture = seen(stage_of(one, two))
    assert picture.keypoints is not None and picture.keypoints.shape == (2, 18, 3)
    for who, joints in enumerate(picture.keypoints):
        body = joints[1:14]
        inside = [picture.seen[int(y), int(x)] == who for x, y, _ in body]
        assert np.mean(inside) > 0.7
    assert truth(picture, "pose").size == (SIZE, SIZE)
    alone = seen(stage_of(one))
    assert alone.keypoints is not None and alone.keypoints.shape == (18, 3)
    assert seen(stage_of()).keypoints is None


def test_a_person_behind_the_camera_has_no_joint_in_the_picture() -> None:
    picture = seen(stage_of(PERSON.model_copy(update={"z": -20.0})))
    assert picture.keypoints is not None and not picture.keypoints[:, 2].any()


def test_depth_at_another_size_is_the_same_depth() -> None:
    stage = describe_seed(702)
    small, large = seen(stage, 64), seen(stage, 128)
    same = small.classes == large.classes[::2, ::2]
    assert same.mean() > 0.97
    finite = same & np.isfinite(small.distance)
    ratio = large.distance[::2, ::2][finite] / small.distance[finite]
    assert np.quantile(np.abs(ratio - 1), 0.95) < 0.03


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64)])
def test_the_square_is_in_the_middle_of_wide_and_tall_pictures(width: int, height: int) -> None:
    stage = describe_seed(700, "person")
    square, long = seen(stage, 32), seen(stage, width, height)
    assert long.rgb.shape == (height, width, 3)
    part = np.s_[(height - 32) // 2 : (height + 32) // 2, (width - 32) // 2 : (width + 32) // 2]
    assert (long.classes[part] == square.classes).mean() > 0.98
    assert square.keypoints is not None and long.keypoints is not None
    shift = (width - 32) / 2, (height - 32) / 2
    np.testing.assert_allclose(long.keypoints[:, :2], square.keypoints[:, :2] + shift, atol=1e-2)


@pytest.mark.parametrize("kind", choices.COLOURS)
def test_a_colour_is_seen_and_named(kind: choices.ThingKind) -> None:
    if kind in choices.ON_WALL:
        return
    camera = {"distance": 3, "height": 1, "aim": 0.4}
    found = {colour: seen(stage_of(PlacedThing(kind=kind, colour=colour), camera=camera), 24) for colour in ("red", "blue")}
    red, blue = (found[colour].rgb[found[colour].seen == 0].mean(0) for colour in ("red", "blue"))
    assert red[0] - red[2] > blue[0] - blue[2] + 3
    for colour, picture in found.items():
        assert colour in picture.things[0].words
        assert np.array_equal(picture.distance, found["red"].distance)


def test_another_pose_keeps_the_clothes() -> None:
    stage = describe_seed(703, "person")
    wanted = "running" if stage.things[0].variety != "running" and "running" not in seen(stage).things[0].words else "waving"
    who = next(i for i, thing in enumerate(stage.things) if thing.kind == "person")
    posed = stage.things[who].model_copy(update={"variety": wanted})
    changed = (*stage.things[:who], posed, *stage.things[who + 1 :])
    before, after = seen(stage), seen(stage.model_copy(update={"things": changed}))
    assert after.things[who].words.endswith(wanted)
    assert after.things[who].words.split(" shirt")[0] == before.things[who].words.split(" shirt")[0]
    materials = [[solid.material for solid in one.things[who].solids[:19]] for one in (before, after)]
    assert materials[0] == materials[1]
    assert before.keypoints is not None and after.keypoints is not None
    assert not np.array_equal(before.keypoints, after.keypoints)


def test_every_variety_can_be_built_and_is_named() -> None:
    for kind, known in choices.VARIETIES.items():
        for variety in known:
            words = fresh(kind, 5, variety).words  # pyright: ignore[reportArgumentType]
            assert variety in words or (kind, variety) == ("tree", "green")


def test_time_ground_and_light_act() -> None:
    stage = describe_seed(700, "house")
    night = stage.model_copy(update={"light": stage.light.model_copy(update={"time": "night"})})
    assert seen(night).rgb.mean() < 0.7 * seen(stage).rgb.mean()
    np.testing.assert_array_equal(seen(night).distance, seen(stage).distance)
    snow = stage.model_copy(update={"ground": stage.ground.model_copy(update={"covering": "snow", "mountains": True})})
    assert "snow" in seen(snow).caption and Label.EARTH in seen(snow).classes and "mountains" in seen(snow).caption
    left, right = (
        seen(stage.model_copy(update={"light": stage.light.model_copy(update={"direction": angle})})) for angle in (-80.0, 80.0)
    )
    assert (left.rgb != right.rgb).any() and np.array_equal(left.normals, right.normals)


def test_captions_name_what_is_seen() -> None:
    tree = PlacedThing(kind="tree", variety="pine")
    caption = seen(stage_of(PERSON, tree.model_copy(update={"x": 1.5}), tree.model_copy(update={"x": -1.5}))).caption
    assert "two pine trees" in caption and "waving" in caption and "grass" in caption
    assert "tree" not in seen(stage_of(PERSON, tree.model_copy(update={"z": -30.0}))).caption
    assert seen(stage_of()).caption == "a landscape on grass under a clear blue sky"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"things": [{"kind": "castle"}]}, "things.0.kind"),
        ({"things": [{"kind": "car", "x": float("nan")}]}, "things.0.x"),
        ({"things": [{"kind": "car", "x": 1e9}]}, "things.0.x"),
        ({"things": [{"kind": "car"}, {"kind": "house", "variety": "van"}]}, "things.1.variety"),
        ({"things": [{"kind": "tree", "colour": "red"}]}, "things.0.colour"),
        ({"things": [{"kind": "car"}] * 21}, "things"),
        ({"camera": {"distance": 0}}, "camera.distance"),
        ({"light": {"time": "noon"}}, "light.time"),
        ({"seed": -1}, "seed"),
        ({"weather": "rain"}, "weather"),
    ],
)
def test_errors_name_the_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        StageDescription.model_validate(values)
    assert caught.value.field == field


def test_what_cannot_be_built_names_its_field() -> None:
    for stage, field in (
        (stage_of(PlacedThing(kind="car", part="subject")), "things.0.kind"),
        (stage_of(PlacedThing(kind="house", part="tree 9")), "things.0.part"),
        (stage_of(PlacedThing(kind="window")), "things.0.part"),
        (StageDescription.model_validate({"kind": "room", "camera": {"distance": 50}}), "camera.distance"),
        (StageDescription.model_validate({"kind": "room", "camera": {"distance": 1, "height": 9}}), "camera.height"),
    ):
        with pytest.raises(InputError) as caught:
            photograph(stage, 16)
        assert caught.value.field == field
    with pytest.raises(InputError, match="height is 8") as caught:
        photograph(OWN, 16, 8)
    assert caught.value.field == "height"


def test_colours_are_those_of_the_captions() -> None:
    assert choices.ColourName.__args__ == COLOUR_NAMES  # pyright: ignore[reportAttributeAccessIssue]
