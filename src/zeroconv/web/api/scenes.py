"""Stages of the tiny world: rendered with exact maps, or read from a seed."""

import secrets
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zeroconv import conditions
from zeroconv.errors import InputError, name_field
from zeroconv.service import Service
from zeroconv.service.scenes import LARGEST_PREVIEW
from zeroconv.web.api.options import hex_colour
from zeroconv.web.api.waiting import client_of, wait_for
from zeroconv.world.geometry.palette import COLOURS as RGB
from zeroconv.world.indoor import WALLS
from zeroconv.world.pictures import LARGEST, SMALLEST
from zeroconv.world.staging import StageDescription, describe_seed
from zeroconv.world.staging.description import MOST
from zeroconv.world.staging.kinds import COLOURS, KINDS, ON_WALL, VARIETIES

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["SceneAnswer", "SceneBody", "add_scene_routes"]

Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
RANDOM_SEEDS = 2**31


class SceneBody(BaseModel):
    """Which stage, and what of it.

    Attributes:
        stage: things, camera and light.
        width: in pixels.
        height: in pixels.
        conditions: whose maps are wanted.
        preview: at most 256 pixels a side, answered as `data:` URIs and not kept.
    """

    model_config = ConfigDict(extra="forbid")
    stage: StageDescription
    width: Side = 128
    height: Side = 128
    conditions: list[Name] = Field(default=[], max_length=8)
    preview: bool = False

    @model_validator(mode="after")
    def check_preview(self) -> "SceneBody":
        """Refuse large previews."""
        if self.preview and max(self.width, self.height) > LARGEST_PREVIEW:
            raise InputError(f"a preview has at most {LARGEST_PREVIEW} pixels a side", field="width")
        return self


class ThingAnswer(BaseModel):
    """A thing as it stands.

    Attributes:
        words: in captions.
        half: x and z half sizes of the ground it covers, along its own axes, metres.
        offset: x and z of the middle of that ground from its place, along its own axes, metres.
        height: of its top, metres.
    """

    words: str
    half: tuple[float, float]
    offset: tuple[float, float]
    height: float


class SceneAnswer(BaseModel):
    """A rendered stage.

    Attributes:
        picture: its id, or a `data:` URI.
        maps: likewise, by condition.
        seen: of a preview: a grey picture with the index of the thing that is seen, 255 where none is.
        things: as they stand, in the stage's order.
        caption: what can be seen.
        kind: of the scene.
        milliseconds: it took.
    """

    picture: str
    maps: dict[str, str]
    seen: str | None
    things: list[ThingAnswer]
    caption: str
    kind: str
    milliseconds: float


class SceneChoices(BaseModel):
    """What can be put on a stage.

    Attributes:
        kinds: each with `varieties`, and whether it `has_colour` and can be `added`.
        colours: each with its name and "#rrggbb".
        walls: likewise, of rooms.
        most: things on a stage.
        stage: JSON schema of a stage.
    """

    kinds: list[dict[str, Any]]
    colours: list[dict[str, str]]
    walls: list[dict[str, str]]
    most: int
    stage: dict[str, Any]


class RandomScene(BaseModel):
    """The scene of a seed.

    Attributes:
        stage: its things, camera and light.
        seed: it.
    """

    stage: StageDescription
    seed: int


def add_scene_routes(router: "APIRouter", service: Service) -> None:
    """Add them to a router."""
    from fastapi import Query, Request
    from fastapi.concurrency import run_in_threadpool

    seconds = service.settings.limits.reading_seconds + 1

    @router.get("/scene", summary="What can be put on a stage")
    def show_choices() -> SceneChoices:  # pyright: ignore[reportUnusedFunction]
        return SceneChoices(
            kinds=[
                {
                    "kind": kind,
                    "varieties": VARIETIES.get(kind, ()),
                    "has_colour": kind in COLOURS,
                    "added": kind not in ON_WALL,
                }
                for kind in KINDS
            ],
            colours=[{"name": name, "color": hex_colour(rgb)} for name, rgb in RGB.items()],
            walls=[{"name": name, "color": hex_colour(rgb)} for name, rgb in WALLS],
            most=MOST,
            stage=StageDescription.model_json_schema(),
        )

    @router.get("/scene/random", summary="The scene of a seed, to begin with")
    async def show_seed(  # pyright: ignore[reportUnusedFunction]
        seed: Annotated[int | None, Query(ge=0, le=2**32 - 1)] = None, kind: Annotated[str | None, Query(max_length=40)] = None
    ) -> RandomScene:
        chosen = secrets.randbelow(RANDOM_SEEDS) if seed is None else seed
        with name_field("kind"):
            stage = await run_in_threadpool(describe_seed, chosen, kind)
        return RandomScene(stage=stage, seed=chosen)

    @router.post("/scene", summary="A stage as a picture and as exact maps")
    async def render(body: SceneBody, request: Request) -> SceneAnswer:  # pyright: ignore[reportUnusedFunction]
        names = [known_name(name, index) for index, name in enumerate(body.conditions)]
        values = {**body.model_dump(mode="json"), "conditions": list(dict.fromkeys(names))}
        return SceneAnswer(**await wait_for(service.read("scene", values, client_of(request)), request, seconds))


def known_name(name: str, index: int) -> str:
    """A condition by its own name.

    Raises:
        InputError: there is none.
    """
    with name_field(f"conditions.{index}"):
        return conditions.get(name).name
