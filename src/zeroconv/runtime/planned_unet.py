"""The controlled U-Net by plans: each network packed once, proven once, and called as before."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.checkpoints.formats.controlnet_config import DEFAULTS
from zeroconv.control import ActiveControl, ControlNet
from zeroconv.control.controlled_unet import add_controls
from zeroconv.control.decoder import Decoder
from zeroconv.messages import Message, tell
from zeroconv.runtime.plans import ControlNetPlan, DecoderPlan, UNetPlan
from zeroconv.runtime.proof import ALLOWED, StepNumbers, difference
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded, check_supported, decode, encode

__all__ = ["PlannedUNet"]

KEPT = 4
"""Plans of this many ControlNets are kept, those of the longest unused let go."""


@dataclass(frozen=True)
class PlainUNet:
    """A U-Net that runs as it is, under the names of a plan."""

    unet: Any

    def encode(self, z_t: Tensor, t: Tensor | float, text: Tensor, added_conditions: AddedConditions | None = None) -> Encoded:
        """See `stable_diffusion.unet.encode`."""
        return encode(self.unet, z_t, t, text, added_conditions)

    def decode(self, encoded: Encoded, text: Tensor) -> Tensor:
        """See `stable_diffusion.unet.decode`."""
        return decode(self.unet, encoded, text)


@dataclass(frozen=True)
class Planned:
    """A network's plan, and the tensors it was made from.

    Attributes:
        network: kept, so that its place in memory is nobody else's.
        weights: see `weights_of`.
        plan: a `UNetPlan`, a `ControlNetPlan`, or what runs as it is.
    """

    network: nn.Module
    weights: tuple[tuple[int, int], ...]
    plan: Any


def weights_of(network: nn.Module) -> tuple[tuple[int, int], ...]:
    """Where the tensors of a network lie, and how often each was changed in place."""
    tensors = (*network.parameters(), *network.buffers())
    return tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)


class PlannedUNet:
    """`planned(z_t, t, text, controls)` predicts like `ControlledUNet`, faster: everything locked is packed once.

    A plan is made when a network is first seen, and anew when its tensors are no longer those it was made from (a LoRA was
    merged, weights were loaded). One step on random numbers then shows that it computes what the network computes, up to
    1e-5 in float32; a network for which that is not so runs as it is, and that is told. A plan has a packed copy of the
    network's weights beside them.

    Args:
        unet: a diffusers `UNet2DConditionModel`.

    Raises:
        ValueError: for a U-Net of a family that is not understood.
    """

    def __init__(self, unet: Any) -> None:
        check_supported(unet)
        self.unet = unet
        self.base: Planned | None = None
        self.decoder: Planned | None = None
        self.controls: OrderedDict[int, Planned] = OrderedDict()

    def base_plan(self) -> UNetPlan | PlainUNet:
        """The plan of the U-Net."""
        weights = weights_of(self.unet)
        if self.base is None or self.base.weights != weights:
            self.base = Planned(self.unet, weights, prove(UNetPlan(self.unet), PlainUNet(self.unet), "the base", step_of_unet))
        return self.base.plan

    def control_plan(self, network: ControlNet) -> ControlNetPlan | ControlNet:
        """The plan of a ControlNet, called as one."""
        found, weights = self.controls.pop(id(network), None), weights_of(network)
        if found is None or found.network is not network or found.weights != weights:
            found = Planned(network, weights, prove(ControlNetPlan(network), network, network.name, step_of_control))
        self.controls[id(network)] = found
        while len(self.controls) > KEPT:
            self.controls.popitem(last=False)
        return found.plan

    def decoder_plan(self, decoder: Decoder) -> DecoderPlan:
        """The plan of an unlocked decoder: of the same parts as the base's, which was proven."""
        weights = weights_of(decoder)
        if self.decoder is None or self.decoder.network is not decoder or self.decoder.weights != weights:
            self.decoder = Planned(decoder, weights, DecoderPlan(decoder, set()))
        return self.decoder.plan

    @torch.no_grad()
    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        controls: Sequence[ActiveControl] = (),
        added_conditions: AddedConditions | None = None,
        decoder: Decoder | None = None,
    ) -> Tensor:
        """The prediction, (B, C, h, w); arguments as of `ControlledUNet.forward`."""
        plan = self.base_plan()
        z_t = z_t.contiguous(memory_format=torch.channels_last)
        encoded = plan.encode(z_t, t, text, added_conditions)
        planned = [replace(control, network=self.control_plan(control.network)) for control in controls]
        encoded = add_controls(encoded, planned, z_t, t, text, added_conditions)
        last = plan if decoder is None else self.decoder_plan(decoder)
        return last.decode(encoded, text).contiguous()


def prove(plan: Any, plain: Any, name: str, step: Callable[[Any], Tensor]) -> Any:
    """The plan if it computes what the network does, else what runs as it is; says so, and what runs as it is within a plan."""
    allowed = ALLOWED.get(next(getattr(plain, "unet", plain).parameters()).dtype, 0.0)
    error = difference(step(plan), step(plain))
    if error > allowed:
        text = f"{name} runs as it is: its plan differs by {error:.1e} of the result, more than {allowed:.0e}"
        tell(Message(text, "runtime.no-plan"))
        return plain
    if plan.unknown:
        parts = ", ".join(sorted(plan.unknown))
        tell(Message(f"parts of {name} run as they are, because no plan computes them: {parts}", "runtime.unknown", "info"))
    return plan


def step_of_unet(plan: UNetPlan | PlainUNet) -> Tensor:
    """The prediction of a U-Net for one step, flat."""
    numbers = StepNumbers(plan.unet, int(plan.unet.config.cross_attention_dim))
    encoded = plan.encode(numbers.z_t, numbers.t, numbers.text, numbers.added_conditions)
    return plan.decode(encoded, numbers.text).flatten()


def step_of_control(plan: ControlNetPlan | ControlNet) -> Tensor:
    """The residuals of a ControlNet for one step, flat, one after the other."""
    network = plan if isinstance(plan, ControlNet) else plan.network
    settings = {**DEFAULTS, **network.config.unet_settings}
    numbers = StepNumbers(network, int(settings["cross_attention_dim"]))
    added = numbers.added_conditions
    residuals = plan(numbers.z_t, numbers.t, numbers.text, features=numbers.features, added_conditions=added)
    return torch.cat([residual.flatten() for residual in residuals.values()])
