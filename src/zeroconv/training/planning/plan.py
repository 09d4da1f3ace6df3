"""A run's settings as they are resolved, and what it will need: `zeroconv train --dry-run`. Nothing is written."""

import shutil
import time
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import torch

from zeroconv.control import ControlNet
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.defaults import (
    default_channels,
    default_fused,
    default_learning_rate,
    default_optimizer,
    default_probe_steps,
    default_timesteps,
    is_wide,
    timesteps_of_step,
)
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.run_data import RunData
from zeroconv.training.loop import optimize
from zeroconv.training.parts import build_loss, build_optimizer, check_packing, check_size, lock_and_build, open_base
from zeroconv.training.planning.memory import StepMemory, estimate_memory, optimizer_bytes, sample_batch
from zeroconv.training.precision.dtypes import base_dtype
from zeroconv.training.run_folder.checkpoints import KEPT

__all__ = ["RunPlan", "plan_run"]

TIMED = 50_000_000  # parameters: larger networks on a CPU would make the plan a matter of minutes
DIGESTS = 64  # bytes of a sample in the cache beside its latents and text


@dataclass(frozen=True)
class RunPlan:
    """What a run is, and what it needs.

    Attributes:
        config: every setting, those that the base decides filled in.
        decided: full names of those.
        trained: parameters that learn.
        locked: parameters of the base that do not.
        pairs: to train on.
        memory: of a step of one process, in bytes.
        seconds: of the steps alone, without data and probes; None where nothing was timed.
        checkpoints: bytes of the states that are kept, and of the network.
        cache: bytes of the latents and texts.
        free: bytes on the disk of the run folder.
        prepared: what the prepared folder keeps of the pictures; None without one.
    """

    config: TrainConfig
    decided: tuple[str, ...]
    trained: int
    locked: int
    pairs: int
    memory: StepMemory
    seconds: float | None
    checkpoints: int
    cache: int
    free: int
    prepared: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = {name: value for name, value in vars(self).items() if name not in ("config", "memory")}
        settings = self.config.model_dump(mode="json")
        return {"settings": settings, **values, "memory": {**asdict(self.memory), "total": self.memory.total}}

    def lines(self) -> list[str]:
        """For a person: the settings as TOML, then what the run needs as comments."""
        text = self.config.to_toml().splitlines()
        group = ""
        for number, line in enumerate(text):
            group = line.strip("[]") if line.startswith("[") else group
            if f"{group}.{line.partition(' ')[0]}" in self.decided:
                text[number] += "  # the base decides"
        parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in asdict(self.memory).items() if size)
        whole = "unknown: nothing was timed" if self.seconds is None else f"{self.seconds / 60:,.1f} minutes"
        enough = "" if self.checkpoints + self.cache < self.free else ": NOT ENOUGH"
        return [
            *text,
            "",
            *([f"# prepared: {self.prepared}"] if self.prepared else []),
            f"# {self.pairs:,} pairs; {self.trained:,} parameters learn, {self.locked:,} are locked",
            f"# memory: {gigabytes(self.memory.total)} beside the program itself ({parts})",
            f"# time: {whole} for {self.config.optimization.steps:,} steps, without data and probes",
            f"# disk: {gigabytes(self.checkpoints)} for states and network, {gigabytes(self.cache)} for latents and texts; "
            f"{gigabytes(self.free)} are free{enough}",
        ]


def plan_run(config: TrainConfig) -> RunPlan:
    """Open base and data, and see what the run would need; one process alone is looked at.

    Raises:
        InputError: for settings or data that `train` would refuse, but for what is in its folder.
    """
    opened = cache(partial(open_base, config))
    data = RunData(config, None, opened)
    data.check_files()
    base, network = lock_and_build(config, opened())
    check_size(config, base, data.size)
    check_packing(config, base)
    optimization = config.optimization
    timesteps_of_step(optimization, is_wide(base), base.scheduler_config["num_train_timesteps"], 0)  # refused if there are none
    name = optimization.optimizer or default_optimizer(base)
    resolved, decided = resolve(config, base, len(data.held_out))
    memory = estimate_memory(config, base, network, name, data.size)
    copies = 2 if optimization.ema_decay else 1
    weights = sum(p.nbytes for p in network.parameters())
    state = copies * weights + optimizer_bytes(network, name)
    empty, (c, h, w) = base.encode_text([""]), base.latent_shape(*data.size)
    parts = data.views.per_sample if data.views else 1  # of each picture
    texts = sum(one.shape[1:].numel() for one in (empty.hidden_states, empty.pooled) if one is not None)
    count, captions = len(data.pairs), data.pairs.max_captions
    place = next(one for one in (config.checkpoint.out.absolute(), *config.checkpoint.out.absolute().parents) if one.exists())
    return RunPlan(
        resolved,
        decided,
        sum(p.numel() for p in network.parameters()),
        sum(p.numel() for p in base.unet.parameters()) + packed_numbers(base),
        count,
        memory,
        time_steps(config, base, network, data.size),
        (KEPT + 1) * state + weights,  # a new state is whole before the oldest one goes
        0 if data.prepared else count * (parts * (2 * c * h * w + DIGESTS) + captions * (2 * texts + DIGESTS)),
        shutil.disk_usage(place).free,
        data.prepared.content if data.prepared else None,
    )


def resolve(config: TrainConfig, base: StableDiffusion, held_out: int) -> tuple[TrainConfig, tuple[str, ...]]:
    """The settings with all that base and data decide, and the full names of what they decided."""
    optimization, model = config.optimization, config.model
    name = optimization.optimizer or default_optimizer(base)
    found: dict[str, dict[str, Any]] = {
        "optimization": {
            "optimizer": name,
            "learning_rate": default_learning_rate(base, name, model.unlock_decoder),
            "timesteps": default_timesteps(base),
            "fused": default_fused(optimization, base) and name == "adamw",
        },
        "model": {"base_dtype": base_dtype(config), "condition_encoder_channels": default_channels(base)},
        "probe": {"count": held_out, "steps": default_probe_steps(is_wide(base))},
    }
    groups = {"optimization": optimization, "model": model, "probe": config.probe}
    open_ones = {
        group: {key: value for key, value in values.items() if value is not None and getattr(groups[group], key) is None}
        for group, values in found.items()
    }
    filled = {group: groups[group].model_copy(update=values) for group, values in open_ones.items()}
    return config.model_copy(update=filled), tuple(f"{group}.{key}" for group, values in open_ones.items() for key in values)


def packed_numbers(base: StableDiffusion) -> int:
    """How many weights of the U-Net are kept in 8 or 4 bits."""
    shapes = (getattr(module, "shape", None) for module in base.unet.modules())
    return sum(shape.numel() for shape in shapes if isinstance(shape, torch.Size))


def time_steps(config: TrainConfig, base: StableDiffusion, network: ControlNet, size: tuple[int, int]) -> float | None:
    """Seconds of all steps, from the second of two on made-up numbers; None for a large network on a CPU."""
    device, optimization = config.optimization.device, config.optimization
    numbers = sum(p.numel() for p in (*base.unet.parameters(), *network.parameters())) + packed_numbers(base)
    if numbers > TIMED and torch.device(device).type == "cpu":
        return None
    loss = build_loss(config, base, network.to(device).train(), device)
    batch = sample_batch(config, base, network, size, device)
    batches = [replace(batch, names=()) for _ in range(optimization.accumulation)]
    optimizer, taken = build_optimizer(network, optimization, base), list[float]()
    begun = time.perf_counter()
    for state in optimize(loss, lambda _: batches, optimizer, lambda _: 1e-6, 1.0, range(2)):
        state.loss.item()
        taken.append(time.perf_counter() - begun)
    return (taken[1] - taken[0]) * optimization.steps


def gigabytes(size: int) -> str:
    """A size for a person."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
