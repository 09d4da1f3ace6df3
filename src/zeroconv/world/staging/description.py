"""A stage as plain values: JSON in and out, and every error names its field."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from zeroconv.schema import Schema
from zeroconv.world.pictures import MAX_SEED
from zeroconv.world.staging.kinds import COLOURS, VARIETIES, ColourName, ThingKind
from zeroconv.world.things.ground import Covering
from zeroconv.world.things.sky import TimeOfDay

__all__ = ["MOST", "CameraPlace", "GroundLook", "LightPlace", "PlacedThing", "RoomLook", "StageDescription"]

MOST = 20
"""Things on a stage."""


Metres = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SceneKind = Literal["house", "car", "tree", "person", "still-life", "room", "person-indoors"]


class PlacedThing(Schema):
    """A thing and where it stands. x is right, z away from the viewer, both in metres."""

    kind: ThingKind = Field(description="what it is")
    x: Metres = Field(default=0.0, description="metres to the right")
    z: Metres = Field(default=0.0, description="metres away from the viewer")
    y: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] = Field(default=0.0, description="metres above the ground")
    turn: Degrees = Field(default=0.0, description="degrees about the vertical, clockwise from above; 0 faces the viewer")
    size: Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)] = Field(default=1.0, description="times its own size")
    colour: ColourName | None = Field(default=None, description="of its largest part; None leaves it as drawn")
    variety: str | None = Field(default=None, description="foliage of a tree, body of a car, pose of a person; None: as drawn")
    look: Seed = Field(default=0, description="seed of what else is drawn by chance: proportions, details, colours")
    part: Annotated[str, Field(min_length=1, max_length=40)] | None = Field(
        default=None, description='its name in the scene of the stage\'s seed, such as "tree 0", where it looks as there'
    )

    @field_validator("variety")
    @classmethod
    def check_variety(cls, variety: str | None, info: ValidationInfo) -> str | None:
        """Refuse a variety that its kind does not have."""
        kind = info.data.get("kind", "")
        known = VARIETIES.get(kind, ())
        if variety is not None and variety not in known:
            wanted = f"one of {', '.join(known)}" if known else f"none: there is one kind of {kind}"
            raise ValueError(f"got {variety!r:.40}; expected {wanted}")
        return variety

    @field_validator("colour")
    @classmethod
    def check_colour(cls, colour: str | None, info: ValidationInfo) -> str | None:
        """Refuse a colour for what has its own."""
        kind = info.data.get("kind", "")
        if colour is not None and kind not in COLOURS:
            raise ValueError(f"got {colour!r}; expected none: a {kind} has a colour of its own")
        return colour


class CameraPlace(Schema):
    """A camera that goes round a point of the ground, and looks at a height above it."""

    x: Metres = Field(default=0.0, description="of the point")
    z: Metres = Field(default=0.0, description="of the point")
    aim: Annotated[float, Field(ge=-5, le=30, allow_inf_nan=False)] = Field(default=1.0, description="height looked at, metres")
    distance: Annotated[float, Field(ge=0.3, le=200, allow_inf_nan=False)] = Field(
        default=8.0, description="along the ground from the point, metres"
    )
    angle: Degrees = Field(default=0.0, description="round the point, degrees to the right; 0 is in front")
    height: Annotated[float, Field(ge=0.05, le=100, allow_inf_nan=False)] = Field(default=1.6, description="of the eye, metres")
    field_of_view: Annotated[float, Field(ge=10, le=110, allow_inf_nan=False)] = Field(
        default=46.0, description="degrees, across the shorter side of the picture"
    )


class LightPlace(Schema):
    """Where the light comes from: the sun or the moon, in a room the lamp below the ceiling."""

    time: TimeOfDay = Field(default="day", description="the sky; rooms do not mind")
    direction: Degrees = Field(default=-40.0, description="degrees to the right; 0 is from behind a camera at angle 0")
    elevation: Annotated[float, Field(ge=3, le=90, allow_inf_nan=False)] = Field(
        default=40.0, description="degrees above ground"
    )


class GroundLook(Schema):
    """The ground of a landscape, and what lies in the distance."""

    covering: Covering = Field(default="grass", description="what grows or lies on it")
    path: Metres | None = Field(default=None, description="x at which a path leads towards the viewer, metres; None: no path")
    lake: Annotated[float, Field(ge=-50, le=300, allow_inf_nan=False)] | None = Field(
        default=None, description="z beyond which all is water, metres; None: no lake"
    )
    mountains: bool = Field(default=False, description="whether there are some")


class RoomLook(Schema):
    """The inside of a room."""

    wall: Literal["white", "beige", "blue", "green", "pink", "yellow", "grey", "red", "teal"] | None = Field(
        default=None, description="colour of the wall; None: as in the scene of the seed"
    )
    floor: Literal["wooden", "tiled", "checkered", "carpet"] | None = Field(default=None, description="None: likewise")


class StageDescription(Schema):
    """Things, camera and light. The scene of `seed` and `kind` gives clouds, room and all else that is not said here.

    Raises:
        InputError: names the field that cannot be used.
    """

    kind: SceneKind | None = Field(default=None, description="of the scene behind it; None: the seed decides")
    seed: Seed = Field(default=0, description="of the scene behind it")
    things: tuple[PlacedThing, ...] = Field(default=(), max_length=MOST, description="what stands there")
    camera: CameraPlace = Field(default=CameraPlace(), description="from where it is seen")
    light: LightPlace = Field(default=LightPlace(), description="by what light")
    ground: GroundLook = Field(default=GroundLook(), description="of a landscape")
    room: RoomLook = Field(default=RoomLook(), description="of a room")
