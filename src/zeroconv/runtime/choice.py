"""The ways to run a controlled U-Net, by name, and the choice among them by the clock."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.control.decoder import Decoder
from zeroconv.control.reuse import Reuse
from zeroconv.messages import Message, tell
from zeroconv.runtime.compiled_unet import CompiledUNet
from zeroconv.runtime.layers import can_pack
from zeroconv.runtime.memory import available_memory
from zeroconv.runtime.openvino.library import is_installed
from zeroconv.runtime.openvino.unet import OpenVINOUNet
from zeroconv.runtime.planned_unet import PlannedUNet
from zeroconv.stable_diffusion.unet import AddedConditions

__all__ = ["RUNTIMES", "FastestUNet", "Runtime", "UNetRunner", "run_unet", "usual_runtime"]

Runtime = Literal["torch", "plan", "openvino", "compile", "auto"]
RUNTIMES: tuple[str, ...] = get_args(Runtime)


class UNetRunner(Protocol):
    """What predicts like `ControlledUNet`."""

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        controls: Sequence[ActiveControl] = (),
        added_conditions: AddedConditions | None = None,
        decoder: Decoder | None = None,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """The prediction, (B, C, h, w); arguments as of `ControlledUNet.forward`."""
        ...


PAYS = 8
"""Denoising steps from which packing is made up for within one picture."""
ROOM = 2.5
"""Packed are most of a base's weights and those of some ControlNets: so many times the base's must be free."""


def usual_runtime(unet: Any, steps: int) -> Runtime:
    """How a U-Net is run unless somebody says otherwise: "plan" on a CPU from 8 steps on, "torch" for fewer and elsewhere.

    No clock decides, nor how many pictures there are, so that a picture is the same bits alone and among others. Where
    memory is too short for packed weights it is "torch", and that is told.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        steps: denoising steps of a picture.
    """
    first = next(unet.parameters())
    if steps < PAYS or not can_pack(first.device, first.dtype):
        return "torch"
    needed, free = ROOM * sum(one.numel() * one.element_size() for one in unet.parameters()), available_memory()
    if free is not None and free < needed:
        text = f"{free / 1e9:.1f} GB of memory are free, too little to run by plans ({needed / 1e9:.1f} GB): runtime torch"
        tell(Message(text, "runtime.memory", "info"))
        return "torch"
    return "plan"


def run_unet(unet: Any, runtime: Runtime) -> UNetRunner:
    """A U-Net with controls, run one way.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        runtime: "torch": as it is; "plan": packed once; "openvino": by OpenVINO; "compile": by torch's compiler; "auto":
            whichever is the fastest.

    Raises:
        InputError: for "openvino" where it is not installed.
    """
    made: dict[Runtime, Callable[[Any], UNetRunner]]
    made = {
        "torch": ControlledUNet,
        "plan": PlannedUNet,
        "openvino": OpenVINOUNet,
        "compile": CompiledUNet,
        "auto": FastestUNet,
    }
    return made[runtime](unet)


@dataclass(frozen=True)
class Preparation:
    """What a way is expected to take before its first step: seconds, and seconds for each GB of weights."""

    base: float
    per_gigabyte: float


WAYS: dict[Runtime, Preparation] = {
    "torch": Preparation(0.0, 0.0),
    "plan": Preparation(0.2, 2.0),
    "openvino": Preparation(2.0, 3.5),
}
"""On a CPU, in the order in which they are tried; see docs/results/generation.md."""
GPU_WAYS: dict[Runtime, Preparation] = {"torch": Preparation(0.0, 0.0), "compile": Preparation(60.0, 20.0)}
"""Elsewhere; the time of the compiler is an estimate."""
WORTH = 3.0
"""A way is tried while what is left would take this many times its preparation: what it saves is then more than that."""
TIMED = 2
"""Steps by the clock, after the one that prepares; the shorter counts."""


@dataclass
class Trial:
    """What is known about steps of one kind.

    Attributes:
        gigabytes: of all weights.
        seconds: of the timed steps, by way.
        last: the way of the last step.
        told: the way that was found to be the fastest, and told.
    """

    gigabytes: float
    seconds: dict[Runtime, list[float]] = field(default_factory=dict)
    last: Runtime | None = None
    told: Runtime | None = None

    def is_timed(self, way: Runtime) -> bool:
        """Whether a way was timed to the end."""
        return len(self.seconds.get(way, ())) == TIMED

    def pace(self, way: Runtime) -> float:
        """Seconds of a step."""
        return min(self.seconds[way])

    def is_worth(self, preparation: Preparation, left: int) -> bool:
        """Whether so many steps are enough to prepare another way for them."""
        expected = preparation.base + preparation.per_gigabyte * self.gigabytes
        return left * min(map(self.pace, self.seconds)) >= WORTH * expected


class FastestUNet:
    """A controlled U-Net run by the way that is the fastest on this machine, found out on the pictures' own steps.

    All ways give the same results up to rounding, so that no step is computed for the clock alone: the first ones of a call
    are run by one way after the other. Another way is tried only while what is left of the call, at the fastest pace so far,
    would take three times as long as its preparation is expected to; until then "torch" runs. What was found holds for
    further steps of that size with those networks.

    Args:
        unet: a diffusers `UNet2DConditionModel`.

    Raises:
        ValueError: for a U-Net of a family that is not understood.
    """

    def __init__(self, unet: Any) -> None:
        self.unet, self.left = unet, 0
        self.runners: dict[Runtime, UNetRunner] = {"torch": run_unet(unet, "torch")}
        self.trials: dict[tuple[object, ...], Trial] = {}

    def expect(self, steps: int) -> None:
        """Say how many steps will follow."""
        self.left = steps

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        controls: Sequence[ActiveControl] = (),
        added_conditions: AddedConditions | None = None,
        decoder: Decoder | None = None,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """The prediction, (B, C, h, w); arguments as of `ControlledUNet.forward`."""
        key = tuple(z_t.shape), z_t.dtype, z_t.device, text.shape[1], len(controls), decoder is None, torch.get_num_threads()
        if key not in self.trials:
            networks = [self.unet, *(control.network for control in controls)]
            size = sum(one.numel() * one.element_size() for network in networks for one in network.parameters())
            self.trials[key] = Trial(size / 1e9)
        trial = self.trials[key]
        way = self.next_way(trial, WAYS if z_t.device.type == "cpu" else GPU_WAYS)
        if way not in self.runners:
            self.runners[way] = run_unet(self.unet, way)
        if z_t.device.type == "cuda" and not trial.is_timed(way):
            torch.cuda.synchronize(z_t.device)
        started = time.perf_counter()
        result = self.runners[way](z_t, t, text, controls, added_conditions, decoder, reuse)
        if trial.last == way and not trial.is_timed(way):
            if z_t.device.type == "cuda":
                torch.cuda.synchronize(z_t.device)
            trial.seconds.setdefault(way, []).append(time.perf_counter() - started)
        trial.last = way
        self.left -= 1
        return result

    def next_way(self, trial: Trial, ways: dict[Runtime, Preparation]) -> Runtime:
        """The way of the next step: one that is being timed, one that is worth a trial, or the fastest, which is told."""
        for way, preparation in ways.items():
            if trial.is_timed(way) or (way == "openvino" and not is_installed()):
                continue
            if trial.last == way or not trial.seconds or trial.is_worth(preparation, self.left):
                return way
        way = min(trial.seconds, key=trial.pace)
        if len(trial.seconds) > 1 and way != trial.told:
            found = ", ".join(f"{one} {1000 * trial.pace(one):.0f} ms" for one in trial.seconds)
            tell(Message(f"runtime {way}: the fastest for these pictures here (a step: {found})", "runtime.chosen", "info"))
            trial.told = way
            kept = {"torch", *(one.told for one in self.trials.values())}
            if None not in kept:  # the others' packed weights are let go
                self.runners = {one: runner for one, runner in self.runners.items() if one in kept}
        return way
