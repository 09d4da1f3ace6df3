"""A ControlNet on another base of the same family: reuse, or transfer by the offset recipe new = control + to - from.

For `variant="lora"` the offsets are what is stored, so opening it on another base is the transfer itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from zeroconv.checkpoints.formats.control_lora_config import encoder_tensors
from zeroconv.checkpoints.formats.controlnet_layouts import DECODER
from zeroconv.stable_diffusion.base import StableDiffusion

__all__ = ["Base", "Shift", "encoder_shift", "transfer_tensors", "unet_of"]

Base = StableDiffusion | UNet2DConditionModel

NEAR, FAR = 0.01, 0.17
"""Rules of thumb for `Shift.expectation`, off one experiment, `experiments/tiny/transfer.py`.

Fine-tuned until the encoder had moved by 3 to 17 %, the tiny base lost between nothing and a quarter of what its edge control
adds to fidelity, whether reused or transferred (the two never differed by more than 0.01); how gently it was trained
counted for as much as how far it went. Nearer than 1 % and farther than 17 % nothing was tried.
"""


@dataclass(frozen=True)
class Shift:
    """How far the encoder of one base has moved from another's.

    Attributes:
        total: ‖to - from‖ / ‖from‖ over encoder and middle block.
        levels: the same for each part, by name.
        identical: tensors that are equal bit by bit.
        tensors: tensors in all.
    """

    total: float
    levels: dict[str, float]
    identical: int
    tensors: int

    def lines(self) -> list[str]:
        """What was measured and what to expect, for people."""
        parts = ", ".join(f"{name} {share:.1%}" for name, share in self.levels.items())
        return [
            f"the encoder has moved by {self.total:.1%} of its size ({self.identical} of {self.tensors} tensors are identical)",
            f"by part: {parts}",
            self.expectation(),
        ]

    def expectation(self) -> str:
        """A rule of thumb, from one experiment (see `NEAR`)."""
        if self.total == 0:
            return "it is the same encoder: plain reuse and transfer are the same network"
        if self.total <= NEAR:
            return "very near: plain reuse should lose little; transfer is exact arithmetic and costs nothing"
        if self.total <= FAR:
            return "near: expect somewhat weaker control; compare plain reuse and transfer with `zeroconv evaluate`"
        return "far: expect much weaker control, also after transfer; train on this base, beginning from this ControlNet"


def unet_of(base: Base) -> UNet2DConditionModel:
    """The U-Net of a base, or the U-Net itself."""
    return base if isinstance(base, UNet2DConditionModel) else base.unet


def check_same_family(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Refuse two encoders of different structure.

    Raises:
        ValueError: naming the first tensor that differs.
    """
    shapes = [{name: tuple(tensor.shape) for name, tensor in of.items()} for of in (before, after)]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        one, other = (of.get(name, "nothing") for of in shapes)
        if one != other:
            raise ValueError(
                f"these bases are not of the same family: {name} is {one} in the first and {other} in the second; "
                "a ControlNet can only be moved between bases of one family, such as two kinds of SD 1.5"
            )


def encoder_shift(from_base: Base, to_base: Base) -> Shift:
    """Measure how far a base has moved from the one it began as.

    Args:
        from_base: the original, a `StableDiffusion` or its U-Net.
        to_base: the other one.

    Raises:
        ValueError: when they are not of the same family.
    """
    before, after = encoder_tensors(unet_of(from_base)), encoder_tensors(unet_of(to_base))
    check_same_family(before, after)
    squares: dict[str, list[float]] = {}
    identical = 0
    for name, tensor in before.items():
        other = after[name].to(tensor.device)
        identical += int(torch.equal(tensor, other.to(tensor.dtype)))
        moved, size = float((other.float() - tensor.float()).square().sum()), float(tensor.float().square().sum())
        sums = squares.setdefault(level_of(name), [0.0, 0.0])
        sums[0], sums[1] = sums[0] + moved, sums[1] + size
    levels = {level: relative(moved, size) for level, (moved, size) in squares.items()}
    moved, size = (sum(sums[i] for sums in squares.values()) for i in (0, 1))
    return Shift(relative(moved, size), levels, identical, len(before))


def relative(moved: float, size: float) -> float:
    """The root of a ratio of two sums of squares; 0 when nothing moved."""
    return (moved / size) ** 0.5 if moved and size else float("inf") if moved else 0.0


def level_of(name: str) -> str:
    """The part of the encoder that a tensor belongs to: "input", "time", "level 0", …, "middle"."""
    first, _, rest = name.partition(".")
    names = {"conv_in": "input", "time_embedding": "time", "add_embedding": "sizes", "mid_block": "middle"}
    return names.get(first) or f"level {rest.partition('.')[0]}"


def transfer_tensors(
    tensors: Mapping[str, Tensor], from_unet: UNet2DConditionModel, to_unet: UNet2DConditionModel
) -> dict[str, Tensor]:
    """The tensors of a ControlNet moved to another base; see `ControlNet.transfer`.

    Where the bases agree bit by bit, so do the networks; condition encoder, zero convolutions and low-rank updates
    stay as they are. An unlocked decoder is moved as the encoder's copy is.

    Raises:
        ValueError: when the bases are not of the same family.
    """
    before, after = encoder_tensors(from_unet), encoder_tensors(to_unet)
    check_same_family(before, after)
    if any(name.startswith(DECODER) for name in tensors):
        before, after = (
            {**of, **{f"{DECODER}{name}": tensor for name, tensor in unet.state_dict().items()}}
            for of, unet in ((before, from_unet), (after, to_unet))
        )
    return {name: add_offset(tensor, before.get(name), after.get(name)) for name, tensor in tensors.items()}


def add_offset(tensor: Tensor, before: Tensor | None, after: Tensor | None) -> Tensor:
    """`tensor + after - before`, computed in float32, in the tensor's type; itself where nothing moved."""
    if before is None or after is None or torch.equal(before, after.to(before)):
        return tensor.clone()
    offset = after.to(tensor.device, torch.float32) - before.to(tensor.device, torch.float32)
    return (tensor.float() + offset).to(tensor.dtype)
