"""What is sent to the routes, beside a `GenerationRequest`, and what they answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zeroconv.generation.request import ResizeMode

__all__ = ["CheckBody", "ErrorAnswer", "ExtractBody", "GalleryAnswer", "GenerationAnswer", "PictureAnswer", "ResultAnswer"]

Text = Annotated[str, Field(min_length=1)]
Side = Annotated[int, Field(ge=1, le=4096)]
PictureText = Annotated[str, Field(min_length=1, description='a data: URI, or "picture:ID"')]
State = Literal["queued", "running", "done", "failed", "cancelled"]


class Body(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class ExtractBody(Body):
    """The map of which picture, and how.

    Attributes:
        condition: its name.
        image: the picture.
        parameters: of the extractor.
        width: of the map; the picture's own if left out.
        height: likewise.
        resize: how a picture of another size is fitted.
    """

    condition: Annotated[str, Field(min_length=1, max_length=100)]
    image: PictureText
    parameters: dict[str, bool | int | float | str | None] = {}
    width: Side | None = None
    height: Side | None = None
    resize: ResizeMode | None = None


class CheckBody(Body):
    """Which map is looked over.

    Attributes:
        condition: whose map it should be.
        map: it.
    """

    condition: Annotated[str, Field(min_length=1, max_length=100)]
    map: PictureText


class ErrorDetail(BaseModel):
    """Why not.

    Attributes:
        code: for programs.
        message: one line.
        field: of the request.
        hint: what to do.
    """

    code: str
    message: str
    field: str | None
    hint: str | None


class ErrorAnswer(BaseModel):
    """Every error.

    Attributes:
        error: it.
    """

    error: ErrorDetail


class PictureAnswer(BaseModel):
    """A picture that is kept.

    Attributes:
        id: the SHA-256 of its bytes.
        width: in pixels.
        height: in pixels.
    """

    id: str
    width: int
    height: int


class ControlAnswer(BaseModel):
    """How well a picture obeys a control.

    Attributes:
        network: the ControlNet.
        condition: that it follows.
        map: the id of the map that it was given.
        overlay: the id of the picture with its own map, extracted again, laid over it.
        measure: the name of the measure.
        adherence: 0 … 1; None where nothing is asked for.
    """

    network: str
    condition: str | None
    map: str
    overlay: str | None
    measure: str | None
    adherence: float | None


class ResultAnswer(BaseModel):
    """A picture that was made.

    Attributes:
        picture: its id.
        seed: makes it again.
        width: in pixels.
        height: in pixels.
        controls: of it.
    """

    picture: str
    seed: int
    width: int
    height: int
    controls: list[ControlAnswer]


class GenerationAnswer(BaseModel):
    """A generation as it stands.

    Attributes:
        id: its name.
        state: "queued", "running", "done", "failed" or "cancelled".
        position: how many are before it while it waits.
        step: denoising steps that are done.
        steps: in all.
        created: seconds since 1970.
        request: what was asked for; what is left out has its default.
        results: pictures that are done.
        messages: what was told.
        error: why it failed.
    """

    id: str
    state: State
    position: int | None
    step: int
    steps: int
    created: float
    request: dict[str, Any]
    results: list[ResultAnswer]
    messages: list[dict[str, Any]]
    error: ErrorDetail | None


class GalleryAnswer(BaseModel):
    """A page of the gallery.

    Attributes:
        pictures: newest first.
        next: `before` of the next page.
    """

    pictures: list[dict[str, Any]]
    next: int | None
