"""What a training run is told, checked before anything is computed."""

import json
import tomllib
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from zeroconv.conditions import read_value
from zeroconv.training.optimizer import OptimizerName

__all__ = ["TrainConfig"]


class TrainConfig(BaseModel):
    """Settings of `zeroconv train`; the defaults are the paper's and its authors' where they say.

    Raises:
        ValueError: naming the setting, what was got and what was expected.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base: str = Field("tiny", description="the locked base: a name, folder, file or hub id")
    vae: Path | None = Field(None, description="another autoencoder for the base, a file or folder")
    prediction_type: Literal["epsilon", "v_prediction"] | None = Field(None, description="of the base, if it is mistaken")
    data: str = Field("world:2000", description="a folder of pairs, or world:COUNT[@FIRST_SEED]")
    condition: str = Field("canny", description="which condition to learn")
    extract: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters of the condition's extractor, such as method and low; maps are then made from the "
        "pictures at every visit, ready ones left aside, and what is not given is drawn as before",
    )
    judge: dict[str, Any] = Field(
        default_factory=dict, description="who reads maps back in probes, such as method; as `extract` if left out"
    )
    out: Path = Field(Path("runs/control"), description="the run folder; the same command again resumes it")
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
    steps: int = Field(1000, ge=1, description="optimizer steps in all")
    batch_size: int = Field(8, ge=1, description="samples per optimizer step")
    learning_rate: float | None = Field(None, gt=0, description="1e-5 for Stable Diffusion, 1e-3 for narrower bases")
    optimizer: OptimizerName = Field("adamw", description="adamw as the authors, or muon: fewer samples, slower steps")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises")
    decay_steps: int = Field(0, ge=0, description="steps at the end over which it falls to zero")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    max_gradient_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    prompt_dropout: float = Field(0.5, ge=0, le=1, description="share of prompts emptied, drawn at every visit")
    seed: int = Field(0, ge=0, description="of every draw")
    probe_every: int = Field(100, ge=1, description="steps between fidelity probes and sample sheets")
    probe_count: int = Field(8, ge=1, description="held-out pairs in a probe")
    probe_steps: int = Field(10, ge=1, description="denoising steps in a probe")
    probe_guidance: float = Field(4.0, ge=1, description="guidance scale in a probe")
    save_every: int = Field(250, ge=1, description="steps between checkpoints")
    device: str = Field("cpu", description="where to train")
    licence: str | None = Field(None, description="of the trained network, for its model card: apache-2.0, openrail, …")

    @field_validator("condition_encoder_channels", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Make a list of "8,16,32,64", as it comes from `--set`."""
        return value.split(",") if isinstance(value, str) else value

    @field_validator("extract", "judge")
    @classmethod
    def plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what no `--set` could say."""
        for key, one in value.items():
            if not isinstance(one, bool | int | float | str) or (isinstance(one, float) and not isfinite(one)):
                raise ValueError(f"{key} is {one!r}; expected a word, a finite number, true or false")
        return value

    @classmethod
    def build(cls, file: Path | None = None, assignments: Sequence[str] = (), **settings: Any) -> Self:
        """From a TOML file, then keyword settings that are not None, then `key=value` words; the last one wins.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: one line that names the setting.
        """
        values: dict[str, Any] = read_toml(file) if file is not None else {}
        values.update({key: value for key, value in settings.items() if value is not None})
        for assignment in assignments:
            key, equals, value = (part.strip() for part in assignment.partition("="))
            table, dot, inner = key.partition(".")
            if equals and dot and inner and table in ("extract", "judge"):
                before = values.get(table, {})
                values[table] = {**before, inner: read_value(value)} if isinstance(before, dict) else before
                continue
            if not equals or key not in cls.model_fields:
                known = ", ".join((*cls.model_fields, "extract.PARAMETER", "judge.PARAMETER"))
                raise ValueError(
                    f"--set got {assignment!r}; expected key=value with a key of: {known}, extract.PARAMETER, judge.PARAMETER"
                )
            values[key] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"training setting {name!r}: {first['msg'].lower()}, got {first['input']!r}") from error

    def rate(self, step: int) -> float:
        """The share of the learning rate at `step` (counted from 0): warm-up, constant, linear decay."""
        rise = (step + 1) / max(self.warmup_steps, 1)
        fall = (self.steps - step) / self.decay_steps if self.decay_steps else 1.0
        return max(0.0, min(1.0, rise, fall))

    def to_toml(self) -> str:
        """The settings as a TOML file that `--config` reads."""
        lines = (f"{key} = {toml(value)}" for key, value in self.model_dump().items() if value is not None)
        return "\n".join(lines) + "\n"


def toml(value: bool | str | float | Path | tuple[int, ...] | dict[str, Any]) -> str:
    """One value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, tuple):
        return str(list(value))
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's strings are JSON's but for DEL
    return repr(value)


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it is not TOML.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file at {path}")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
