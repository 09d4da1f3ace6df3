"""The groups of settings of a training run, each checked by itself."""

from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import Field, PositiveInt, field_validator, model_validator

from zeroconv import conditions
from zeroconv.conditions.several import PLUS
from zeroconv.training.config.group import Group
from zeroconv.training.config.optimization import OptimizationConfig

__all__ = [
    "GROUPS",
    "BaseDtype",
    "CheckpointConfig",
    "DataConfig",
    "ModelConfig",
    "ParallelConfig",
    "ProbeConfig",
    "TrackerName",
]

BaseDtype = Literal["float32", "bfloat16", "float16", "float8", "int8", "int4"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]


def check_parameters(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse parameters that no `--set` could say: anything but words, finite numbers, true and false."""
    for key, one in value.items():
        if not isinstance(one, bool | int | float | str) or (isinstance(one, float) and not isfinite(one)):
            raise ValueError(f"{key} is {one!r}; expected a word, a finite number, true or false")
    return value


def flatten(value: object) -> object:
    """Parameters of one of several conditions by their full name, "depth.method", where a file has a table of them."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, Any] = {}
    for key, one in cast("dict[str, Any]", value).items():
        inner = cast("dict[str, Any]", one) if isinstance(one, dict) else None
        flat |= {key: one} if inner is None else {f"{key}.{name}": each for name, each in inner.items()}
    return flat


class DataConfig(Group):
    """What is learnt, and from which pairs."""

    source: str = Field("world:2000", description="pairs in any layout of `data check`, or world:COUNT[@FIRST_SEED]")
    condition: str = Field(
        "canny", description="which condition to learn; several in one control, three channels each, as canny+depth"
    )
    condition_dropout: float = Field(
        0.0, ge=0, lt=1, description="of several conditions: share of each one's maps left out, drawn in every epoch"
    )
    extract: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters of the condition's extractor, such as method and low; maps are then made from the "
        "pictures in every epoch, ready ones left aside, and what is not given is drawn as before",
    )
    prompt_dropout: float = Field(0.5, ge=0, le=1, description="share of prompts emptied, drawn in every epoch")

    max_broken: float = Field(
        0.1, ge=0, lt=1, description="largest share of pairs that may be left out because they cannot be used"
    )
    workers: int = Field(0, ge=0, description="processes that open pictures and make maps while the network learns")
    cache: Path | None = Field(
        None,
        description="a folder of `data prepare`, of the same buckets, resolution and crops, or one in which runs keep latents "
        "and texts together; if left out each run keeps its own",
    )

    buckets: bool = Field(
        False,
        description="take pictures of any size: each is reduced and cut, with its map, to the bucket of its shape, and a batch "
        "is of one bucket",
    )
    resolution: int | None = Field(None, ge=8, description="side in pixels of a square of the buckets' area; the base's own")
    crops: int = Field(1, ge=1, le=64, description="of buckets: parts of each picture, drawn once; 1 is its middle")
    flip: bool = Field(
        False,
        description="of buckets: mirror half of the visits, with their maps; not where captions tell of left, right or writing",
    )

    flatten_extract = field_validator("extract", mode="before")(flatten)
    check_extract = field_validator("extract")(check_parameters)

    @model_validator(mode="after")
    def check_dropout(self) -> Self:
        """Refuse to leave out the only map."""
        if self.condition_dropout and not conditions.get(self.condition).parts:
            raise ValueError("condition_dropout with one condition; expected several, such as `condition=canny+depth`")
        return self

    @model_validator(mode="after")
    def check_views(self) -> Self:
        """Refuse settings of buckets without buckets."""
        given = {"resolution": self.resolution, "crops": self.crops > 1, "flip": self.flip}
        if not self.buckets and (without := [name for name, value in given.items() if value]):
            raise ValueError(f"{', '.join(without)} without buckets; expected `buckets=true` with it")
        return self

    @field_validator("condition", mode="before")
    @classmethod
    def join(cls, value: object) -> object:
        """Make "canny+depth" of a list of names, as a file may have it."""
        names = cast("list[object]", value) if isinstance(value, list) else [value]
        return PLUS.join(map(str, names)) if len(names) > 1 else names[0] if names else value

    @field_validator("condition")
    @classmethod
    def check_condition(cls, value: str) -> str:
        """Refuse a condition that there is not."""
        conditions.get(value)
        return value


class ModelConfig(Group):
    """The locked base and the ControlNet beside it."""

    base: str = Field("tiny", description="the locked base: a name, folder, file or hub id")
    vae: Path | None = Field(None, description="another autoencoder for the base, a file or folder")
    prediction_type: Literal["epsilon", "v_prediction"] | None = Field(None, description="of the base, if it is mistaken")
    base_dtype: BaseDtype | None = Field(
        None, description="type of the locked U-Net's weights, as `precision` if left out; the copy begins from float32"
    )
    control: str | None = Field(None, description="begin from this ControlNet and not from the base")
    variant: Literal["full", "lite", "lora"] = Field(
        "full", description="the copy: full, one convolution per block, or the base's own weights and low-rank updates"
    )
    rank: int = Field(16, ge=1, description="of the updates of variant lora at most; narrow layers get less")
    connection: Literal["zero", "gaussian"] = Field("zero", description="zero convolutions, or Gaussian ones")
    condition_encoder: Literal["released", "paper"] = Field("released", description="form of the condition encoder")
    condition_encoder_channels: tuple[PositiveInt, ...] | None = Field(
        None, description="its widths; 16, 32, 96, 256 for Stable Diffusion, 8, 16, 32, 64 for narrower bases"
    )

    unlock_decoder: bool = Field(
        False,
        description="train the base's decoder, too, a copy that is kept with the control, as the authors' sd_locked=False",
    )

    @field_validator("condition_encoder_channels", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Make a list of "8,16,32,64", as it comes from `--set`."""
        return value.split(",") if isinstance(value, str) else value


class ProbeConfig(Group):
    """The fidelity probes on held-out pairs."""

    every: int = Field(150, ge=1, description="steps between fidelity probes and sample sheets")
    count: int | None = Field(
        None,
        ge=1,
        description="held-out pairs in a probe; 8 for Stable Diffusion; for narrower bases 32, or a tenth of fewer than 320",
    )
    steps: int | None = Field(
        None, ge=1, description="denoising steps in a probe; 10 for Stable Diffusion, 6 for narrower bases"
    )
    guidance: float = Field(4.0, ge=1, description="guidance scale in a probe")
    judge: dict[str, Any] = Field(
        default_factory=dict, description="who reads maps back, such as method; as `extract` if left out"
    )

    flatten_judge = field_validator("judge", mode="before")(flatten)
    check_judge = field_validator("judge")(check_parameters)


class ParallelConfig(Group):
    """What several processes do with the networks."""

    shard: Literal["none", "control", "all"] = Field(
        "none",
        description="what the processes of torchrun divide among them, in place of holding all of it each: none; the control "
        "with its gradients and optimizer state; all, the base's U-Net too",
    )


class CheckpointConfig(Group):
    """What is kept, and where."""

    out: Path = Field(Path("runs/control"), description="the run folder; the same command again resumes it")
    every: int = Field(250, ge=1, description="steps between saved states")
    licence: str | None = Field(None, description="of the trained network, for its model card: apache-2.0, openrail, …")
    track: tuple[TrackerName, ...] = Field(
        (), description="where to send losses, probes and sheets, too: tensorboard, wandb, trackio; several with commas"
    )

    @field_validator("track", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Make a list of "tensorboard,wandb", as it comes from `--set` or from one word in a file."""
        return [name for name in value.split(",") if name] if isinstance(value, str) else value


GROUPS: dict[str, type[Group]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optimization": OptimizationConfig,
    "probe": ProbeConfig,
    "parallel": ParallelConfig,
    "checkpoint": CheckpointConfig,
}
