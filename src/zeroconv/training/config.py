"""The settings of a training run, in groups, checked before anything is computed."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, field_validator

from zeroconv import conditions
from zeroconv.conditions import read_value
from zeroconv.errors import InputError
from zeroconv.schema import Schema

__all__ = [
    "CheckpointConfig",
    "DataConfig",
    "ModelConfig",
    "OptimizationConfig",
    "OptimizerName",
    "ProbeConfig",
    "TrainConfig",
]

OptimizerName = Literal["adamw", "muon"]


def check_parameters(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse parameters that no `--set` could say: anything but words, finite numbers, true and false."""
    for key, one in value.items():
        if not isinstance(one, bool | int | float | str) or (isinstance(one, float) and not isfinite(one)):
            raise ValueError(f"{key} is {one!r}; expected a word, a finite number, true or false")
    return value


class Group(Schema):
    """Settings that belong together."""

    model_config = ConfigDict(allow_inf_nan=False)
    noun: ClassVar[str] = "training setting"


class DataConfig(Group):
    """What is learnt, and from which pairs."""

    source: str = Field("world:2000", description="a folder of pairs, or world:COUNT[@FIRST_SEED]")
    condition: str = Field("canny", description="which condition to learn")
    extract: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters of the condition's extractor, such as method and low; maps are then made from the "
        "pictures in every epoch, ready ones left aside, and what is not given is drawn as before",
    )
    prompt_dropout: float = Field(0.5, ge=0, le=1, description="share of prompts emptied, drawn in every epoch")

    check_extract = field_validator("extract")(check_parameters)

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

    @field_validator("condition_encoder_channels", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Make a list of "8,16,32,64", as it comes from `--set`."""
        return value.split(",") if isinstance(value, str) else value


class OptimizationConfig(Group):
    """How the weights are moved."""

    steps: int = Field(1000, ge=1, description="optimizer steps in all")
    batch_size: int = Field(8, ge=1, description="samples per optimizer step")
    learning_rate: float | None = Field(None, gt=0, description="1e-5 for Stable Diffusion, 1e-3 for narrower bases")
    optimizer: OptimizerName = Field("adamw", description="adamw as the authors, or muon: fewer samples, slower steps")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises")
    decay_steps: int = Field(0, ge=0, description="steps at the end over which it falls to zero")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    max_gradient_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    seed: int = Field(0, ge=0, description="of every draw")
    device: str = Field("cpu", description="where to train")

    def scale_learning_rate(self, step: int) -> float:
        """The share of the learning rate at `step` (counted from 0): warm-up, constant, linear decay."""
        rise = (step + 1) / max(self.warmup_steps, 1)
        fall = (self.steps - step) / self.decay_steps if self.decay_steps else 1.0
        return max(0.0, min(1.0, rise, fall))


class ProbeConfig(Group):
    """The fidelity probes on held-out pairs."""

    every: int = Field(100, ge=1, description="steps between fidelity probes and sample sheets")
    count: int = Field(8, ge=1, description="held-out pairs in a probe")
    steps: int = Field(10, ge=1, description="denoising steps in a probe")
    guidance: float = Field(4.0, ge=1, description="guidance scale in a probe")
    judge: dict[str, Any] = Field(
        default_factory=dict, description="who reads maps back, such as method; as `extract` if left out"
    )

    check_judge = field_validator("judge")(check_parameters)


class CheckpointConfig(Group):
    """What is kept, and where."""

    out: Path = Field(Path("runs/control"), description="the run folder; the same command again resumes it")
    every: int = Field(250, ge=1, description="steps between saved states")
    licence: str | None = Field(None, description="of the trained network, for its model card: apache-2.0, openrail, …")


GROUPS: dict[str, type[Group]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optimization": OptimizationConfig,
    "probe": ProbeConfig,
    "checkpoint": CheckpointConfig,
}
RENAMED = {
    "data.source": "data",
    "probe.every": "probe_every",
    "probe.count": "probe_count",
    "probe.steps": "probe_steps",
    "probe.guidance": "probe_guidance",
    "checkpoint.every": "save_every",
}
"""Settings whose short name, the one without a group, is not the name they have in their group."""

SHORT = {
    RENAMED.get(path, path.partition(".")[2]): path
    for path in (f"{group}.{name}" for group, kind in GROUPS.items() for name in kind.model_fields)
}
"""From the short name of every setting, such as "probe_every", to its full one, "probe.every"."""

TABLES = {"extract": "data.extract", "judge": "probe.judge"}  # settings that are tables of parameters
KNOWN = ", ".join((*SHORT, *(f"{name}.PARAMETER" for name in TABLES)))


class TrainConfig(Group):
    """Settings of `zeroconv train`; the defaults are the paper's and its authors' where they say.

    Every setting has a full name, its group and its name there, such as "probe.every", and a short one, such as
    "probe_every" (`SHORT`). `build`, `--set` and TOML files take both; `to_toml` writes groups.

    Raises:
        InputError: naming the setting, what was got and what was expected.
    """

    data: DataConfig = DataConfig.model_validate({})
    model: ModelConfig = ModelConfig.model_validate({})
    optimization: OptimizationConfig = OptimizationConfig.model_validate({})
    probe: ProbeConfig = ProbeConfig.model_validate({})
    checkpoint: CheckpointConfig = CheckpointConfig.model_validate({})

    @classmethod
    def build(cls, file: Path | None = None, assignments: Sequence[str] = (), **settings: Any) -> Self:
        """From a TOML file, then keyword settings that are not None, then `key=value` words; the last one wins.

        Raises:
            InputError: one line that names the setting, or "config" for a file that is not there or not TOML.
        """
        values: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        if file is not None:
            set_all(values, read_toml(file))
        set_all(values, {key: value for key, value in settings.items() if value is not None})
        for assignment in assignments:
            assign(values, assignment)
        return cls.model_validate(values)

    def to_toml(self) -> str:
        """The settings as a TOML file that `--config` reads, one table per group."""
        lines: list[str] = []
        for group, values in self.model_dump().items():
            lines += ["", f"[{group}]"]
            lines += [f"{key} = {to_toml(value)}" for key, value in values.items() if value is not None]
        return "\n".join(lines[1:]) + "\n"


def set_all(values: dict[str, dict[str, Any]], given: Mapping[str, Any]) -> None:
    """Put settings, in groups or by their short names, into the groups.

    Raises:
        InputError: for a name that is no setting's.
    """
    for key, value in given.items():
        path = SHORT.get(key, key)
        if key in GROUPS and isinstance(value, Mapping):  # before the path: "data" is a group, and short for "data.source"
            values[key] |= value
        elif path in SHORT.values():
            group, _, name = path.partition(".")
            values[group][name] = value
        else:
            raise InputError(f"training setting {key!r}: extra inputs are not permitted, got {value!r}", field=key)


def assign(values: dict[str, dict[str, Any]], assignment: str) -> None:
    """Put one `key=value` into the groups.

    Raises:
        InputError: when it is none, or the key no setting's, listing the known ones.
    """
    key, equals, value = (part.strip() for part in assignment.partition("="))
    for short, path in TABLES.items():
        table, dot, parameter = key.removeprefix(path.removesuffix(short)).partition(".")
        if equals and dot and parameter and table == short:
            group, _, name = path.partition(".")
            before = values[group].get(name, {})
            values[group][name] = {**before, parameter: read_value(value)} if isinstance(before, Mapping) else before
            return
    path = SHORT.get(key, key)
    if not equals or path not in SHORT.values():
        raise InputError(f"--set got {assignment!r}; expected key=value with a key of: {KNOWN}", field=key or None)
    group, _, name = path.partition(".")
    values[group][name] = value


def to_toml(value: bool | str | float | Path | tuple[int, ...] | dict[str, Any]) -> str:
    """One value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_toml(key)} = {to_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, tuple):
        return str(list(value))
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's strings are JSON's but for DEL
    return repr(value)


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file.

    Raises:
        InputError: when it is not there, or not TOML.
    """
    if not path.is_file():
        raise InputError(f"no configuration file at {path}", field="config")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}", field="config") from error
