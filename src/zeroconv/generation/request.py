"""What is asked for, as plain values: one description for the command line, for a picture's metadata and for HTTP.

A request names networks and pictures and opens nothing. A picture is a path, or a `data:` URI that holds it, so a request
with embedded maps is complete in itself. `GenerationRequest.model_json_schema()` is the form to fill in.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from zeroconv.control.weighting import StepWindow, Weighting
from zeroconv.diffusion import Sampler, canonical_sampler
from zeroconv.errors import InputError
from zeroconv.schema import Schema

__all__ = ["BaseRequest", "ControlRequest", "EmbeddingRequest", "GenerationRequest", "LoRARequest", "Precision", "ResizeMode"]

Precision = Literal["float32", "float16", "bfloat16", "float64"]
ResizeMode = Literal["crop", "stretch", "fill"]

Strength = Annotated[float, Field(ge=-10_000, le=10_000, allow_inf_nan=False)]
"""Far beyond any use, and far from where latents overflow."""
Side = Annotated[int, Field(gt=0, le=16384)]
DEFAULT_STRENGTH = 0.75
"""How far from its picture image-to-image goes, as in Stable Diffusion web UI."""
USUAL = {
    "strength": "0.3 to 0.8",
    "guidance_scale": "1 to 15",
    "control_guidance_scale": "1 to 10",
    "scale": "0 to 2",
    "weight": "0 to 1",
}
"""What is usual, said when a number is refused."""
NUMBER_ERRORS = ("finite_number", "greater_than", "greater_than_equal", "less_than_equal")


class Request(Schema):
    """A frozen model whose errors say what is usual, in one line with the field's path.

    Raises:
        InputError: for the first value that cannot be used.
    """

    @classmethod
    def input_error(cls, error: ValidationError) -> InputError:
        """What is wrong, as one line with its field."""
        return input_error(error)


class LoRARequest(Request):
    """A LoRA to merge into the base."""

    path: str = Field(min_length=1, description="the file, or a folder that a trainer wrote")
    weight: Strength = Field(default=1.0, description="strength; 1 as trained")


class EmbeddingRequest(Request):
    """A textual-inversion embedding."""

    path: str = Field(min_length=1, description="the file")
    word: str | None = Field(default=None, description="of prompts; the file's name without its ending if left out")


class BaseRequest(Request):
    """Which base, and how it is opened."""

    name: str = Field(default="tiny", min_length=1, description='"tiny", a folder, a file or a hub id')
    vae: str | None = Field(default=None, description="another autoencoder, a file or a folder")
    prediction_type: Literal["epsilon", "v_prediction"] | None = Field(default=None, description="if the base is mistaken")
    family: Literal["sd15", "sd21", "sdxl"] | None = Field(default=None, description="of a file, if its shapes mislead")
    weights: Literal["int8"] | None = Field(default=None, description="of U-Net, text encoders and controls in 8 bits")
    ema: bool = Field(default=False, description="the averaged weights of a file that holds both")
    loras: Annotated[tuple[LoRARequest, ...], FailFast()] = Field(default=(), description="merged in this order")
    embeddings: Annotated[tuple[EmbeddingRequest, ...], FailFast()] = Field(
        default=(), description="words that are read as vectors of their own"
    )
    device: str | None = Field(default=None, description="cpu, cuda, cuda:1, mps; the best there is if left out")
    dtype: Precision | None = Field(default=None, description="float32 on a CPU, float16 elsewhere, if left out")


class ControlRequest(Request):
    """One control: a ControlNet, a picture for it, and how, where and when it acts."""

    network: str = Field(min_length=1, description="name, folder, file or hub id of the ControlNet")
    image: str | None = Field(default=None, description="a picture whose map is extracted: a path or data: URI")
    condition: str | None = Field(default=None, description="or a ready map: a path or data: URI")
    maps: dict[str, str | None] = Field(
        default={},
        description="of a network of several conditions ready maps by name, each a path or data: URI; null leaves one out, "
        "and those that are not named are extracted from the image",
    )
    mask: str | None = Field(default=None, description="where it acts, white yes, black no: a path or data: URI")
    extract: dict[str, bool | int | float | str] = Field(default={}, description="how the map is extracted, as method")
    scale: Strength = Field(default=1.0, description="strength; 1 as trained, 0 off")
    start: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False, description="share of the steps after which it begins")
    end: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False, description="share of the steps after which it stops")
    layers: tuple[Strength, ...] | None = Field(default=None, description="a weight per connection, the middle's last")

    @model_validator(mode="after")
    def check(self) -> Self:
        """One picture, and a window that is not empty."""
        StepWindow(self.start, self.end)
        if self.maps and self.condition is not None:
            raise InputError(f"{self.network} got maps with names and one without; expected names for all", field="condition")
        if not self.maps and (self.image is None) == (self.condition is None):
            got = "neither" if self.image is None else "both"
            raise InputError(f"{self.network} got {got} of image and condition; expected one of them", field="condition")
        if self.extract and self.image is None:
            raise InputError(
                f"{self.network} is told how to extract a map and has a ready one; expected an image", field="extract"
            )
        return self


class GenerationRequest(Request):
    """Pictures from a prompt and any number of controls."""

    prompt: str = Field(description="what to see")
    negative_prompt: str = Field(default="", description="what not to see")
    plain_prompt: bool = Field(default=False, description="(word:1.3), [word] and BREAK are words like others")
    controls: Annotated[tuple[ControlRequest, ...], FailFast()] = Field(
        default=(), description="any number; their residuals are added"
    )
    base: BaseRequest = Field(default=BaseRequest(), description="a name, or how it is opened")
    seed: int = Field(default=0, ge=-(2**63), lt=2**64, description="of the first picture; picture i has seed + i")
    num_images: int = Field(default=1, ge=1, description="how many pictures")
    num_inference_steps: int = Field(default=20, ge=1, le=999, description="denoising steps")
    guidance_scale: Strength = Field(default=7.5, description="of classifier-free guidance; 1 is none")
    control_guidance_scale: Strength | None = Field(default=None, description="of guidance on the controls; none if left out")
    weighting: Weighting = Field(default="uniform", description="of the connections")
    sampler: Sampler = "dpm++2m"
    control_every: int = Field(default=1, ge=1, le=999, description="controls are computed in every so many-th step")
    encoder_every: int = Field(default=1, ge=1, le=999, description="encoder and controls are, in every so many-th step")
    size: tuple[Side, Side] | None = Field(default=None, description="width and height; the base's own if left out")
    resize: ResizeMode | None = Field(default=None, description="how maps of another size are fitted; refused if left out")
    init_image: str | None = Field(default=None, description="a picture to start from: a path or data: URI; noise if left out")
    strength: float = Field(
        default=DEFAULT_STRENGTH, gt=0, le=1, allow_inf_nan=False, description="share of the steps run from the init_image on"
    )
    mask_image: str | None = Field(default=None, description="of the init_image: white is painted anew, black stays")
    tile: Side | None = Field(default=None, multiple_of=8, ge=64, description="pixels a side of the tiles of large pictures")
    tile_overlap: int | None = Field(default=None, multiple_of=8, ge=0, description="pixels neighbours share; half a tile")

    @field_validator("base", mode="before")
    @classmethod
    def expand_name(cls, value: Any) -> Any:
        """A base's name alone is a base opened in the usual way."""
        return {"name": value} if isinstance(value, str) else value

    @field_validator("sampler", mode="before")
    @classmethod
    def spell_sampler(cls, value: Any) -> Any:
        """A sampler in any spelling is the one that is meant."""
        try:
            return canonical_sampler(value) if isinstance(value, str) else value
        except InputError as error:
            raise InputError(str(error)) from None  # pydantic adds the field

    @model_validator(mode="after")
    def check(self) -> Self:
        """A mask has its picture, and tiles are wider than what they share."""
        if self.mask_image is not None and self.init_image is None:
            raise missing_picture()
        if self.tile_overlap is not None and self.tile_overlap >= (self.tile or 0):
            tile = "there are no tiles" if self.tile is None else f"tiles have {self.tile}"
            raise InputError(f"tile_overlap is {self.tile_overlap} pixels, and {tile}; expected less", field="tile_overlap")
        return self

    @model_serializer(mode="wrap")
    def leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is for pictures to start from, and for tiles, where there are none: as before there were any."""
        values: dict[str, Any] = handler(self)
        idle = ("init_image", "strength", "mask_image") if self.init_image is None else ()
        for name in (*idle, *(("tile", "tile_overlap") if self.tile is None else ())):
            values.pop(name, None)
        return values

    def without_pictures(self) -> dict[str, Any]:
        """As JSON for reports: of the pictures only whether there is a mask, as `masked`."""
        pictures = {"image", "condition", "maps", "mask", "extract"}
        values = self.model_dump(
            mode="json", exclude={"init_image": True, "mask_image": True, "controls": {"__all__": pictures}}
        )
        if self.init_image is not None:
            values["masked"] = self.mask_image is not None
        for entry, control in zip(values["controls"], self.controls, strict=True):
            entry["masked"] = control.mask is not None
        return values


def missing_picture() -> InputError:
    """The error for a mask without its picture."""
    said = "mask_image says where init_image is painted anew, and there is no init_image"
    return InputError(said, field="mask_image", hint="give both, or neither")


def input_error(error: ValidationError) -> InputError:
    """The first thing pydantic found, as one line with its field."""
    first = error.errors()[0]
    inner, place = first.get("ctx", {}).get("error"), [str(part) for part in first["loc"]]
    if isinstance(inner, InputError):
        place += [inner.field] if inner.field else []
        return InputError(str(inner), field=".".join(place) or None)
    field = ".".join(place) or None
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return InputError(f"{field} is missing", field=field)
    if kind == "extra_forbidden":
        return InputError(f"{field} is not known", field=field)
    if kind == "json_invalid":
        return InputError(f"the request is not JSON: {message.removeprefix('Invalid JSON: ')}", field=None)
    wanted = message.removeprefix("Input should be ")
    if place and place[-1] in USUAL and kind in NUMBER_ERRORS:
        wanted += f", usually {USUAL[place[-1]]}"
    return InputError(f"{field or 'the request'} is {first['input']!r:.80}; expected {wanted}", field=field)
