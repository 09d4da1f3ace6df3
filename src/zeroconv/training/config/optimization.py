"""The settings of how the weights are moved."""

from math import cos, pi
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from zeroconv.training.config.group import Group

__all__ = ["OptimizationConfig", "OptimizerName", "Precision", "Timesteps"]

OptimizerName = Literal["adamw", "muon", "adamw8bit", "prodigy"]
Precision = Literal["fp32", "bf16", "fp16"]
Timesteps = Literal["uniform", "high-first", "logit-normal"]


class OptimizationConfig(Group):
    """How the weights are moved."""

    steps: int = Field(1000, ge=1, description="optimizer steps in all")
    batch_size: int = Field(8, ge=1, description="samples per optimizer step")
    accumulation: int = Field(1, ge=1, description="equal parts of a batch that are computed one after the other")
    learning_rate: float | None = Field(
        None, gt=0, description="1e-5 for Stable Diffusion, 1e-3 for narrower bases, a fifth of it with unlock_decoder"
    )
    optimizer: OptimizerName | None = Field(
        None,
        description="adamw as the authors, for Stable Diffusion; muon for narrower bases: fewer samples, slower steps; "
        "or adamw8bit: less memory; or prodigy, which finds its own learning rate",
    )
    fused: bool | None = Field(
        None, description="AdamW in one pass over the weights: faster, rounded otherwise; for Stable Diffusion if left out"
    )
    precision: Precision = Field("fp32", description="what the copy computes in; its weights are float32 always")
    checkpoint_encoder: bool = Field(False, description="compute the copy's blocks twice: less memory, the same numbers")
    checkpoint_decoder: bool = Field(False, description="compute the locked decoder's blocks twice, likewise")
    pack_base: bool = Field(
        False,
        description="on a CPU keep the locked base's convolutions in the processor's own order too: faster, rounded otherwise, "
        "up to twice the base's memory more",
    )
    timesteps: Timesteps | None = Field(
        None,
        description="uniform as the authors, for Stable Diffusion; high-first for narrower bases: the upper 60 % "
        "for two thirds of the steps, then uniform; or logit-normal as Stable Diffusion 3: the middle ones more often",
    )
    logit_mean: float = Field(0.0, description="of logit-normal; above 0 prefers noisier time steps")
    logit_std: float = Field(1.0, gt=0, description="of logit-normal; a smaller one stays nearer to its middle")
    timestep_bias_range: tuple[int, int] | None = Field(
        None, description="these time steps more or less often than the others: from the first on and below the second"
    )
    timestep_bias_multiplier: float | None = Field(None, gt=0, description="how many times as often as they would be else")
    min_timestep: int = Field(0, ge=0, description="lowest time step that is drawn")
    max_timestep: int | None = Field(None, ge=1, description="time steps are drawn below this; below the schedule's 1000")
    min_snr_gamma: float | None = Field(None, gt=0, description="weight losses by min(SNR, this) / SNR; 5 in its paper")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises")
    decay_steps: int = Field(0, ge=0, description="steps at the end over which it falls to zero")
    decay: Literal["linear", "cosine"] = Field("linear", description="how it falls")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW and Prodigy")
    max_gradient_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    ema_decay: float = Field(0, ge=0, lt=1, description="of averaged weights, which are then probed and kept; 0 for none")
    ema_on_cpu: bool = Field(False, description="keep them in the machine's memory: the weights are copied there at every step")
    nonfinite: Literal["stop", "skip"] = Field(
        "stop", description="after a loss or gradient that is not finite: end the run, or leave the batch out"
    )
    seed: int = Field(0, ge=0, description="of every draw")
    device: str = Field("cpu", description="where to train")

    def scale_learning_rate(self, step: int) -> float:
        """The share of the learning rate at `step` (counted from 0): warm-up, constant, decay."""
        rise = (step + 1) / max(self.warmup_steps, 1)
        fall = max(0.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        if self.decay == "cosine" and fall < 1:
            fall = (1 - cos(pi * fall)) / 2
        return min(1.0, rise, fall)

    @model_validator(mode="after")
    def check_parts(self) -> Self:
        """Refuse a batch that has no such parts."""
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} cannot be computed in {self.accumulation} equal parts")
        return self

    @model_validator(mode="after")
    def check_timesteps(self) -> Self:
        """Refuse a range without a time step, and what has nothing to act on."""
        if self.max_timestep is not None and self.max_timestep <= self.min_timestep:
            raise ValueError(f"min_timestep is {self.min_timestep} and max_timestep {self.max_timestep}: nothing lies between")
        if (self.logit_mean, self.logit_std) != (0.0, 1.0) and self.timesteps != "logit-normal":
            raise ValueError("logit_mean or logit_std without logit-normal; expected `timesteps=logit-normal` with it")
        if (self.timestep_bias_range is None) != (self.timestep_bias_multiplier is None):
            raise ValueError(
                "one of timestep_bias_range and timestep_bias_multiplier alone; expected both, such as "
                "`timestep_bias_range=750,1000` and `timestep_bias_multiplier=2`"
            )
        return self

    @field_validator("timestep_bias_range", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Make two numbers of "750,1000", as it comes from `--set`."""
        return value.split(",") if isinstance(value, str) else value
