"""The controlled U-Net by plans: each network packed once, proven once, and called as before."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zeroconv.checkpoints.formats.controlnet_config import DEFAULTS
from zeroconv.control import ActiveControl, ControlNet
from zeroconv.control.controlled_unet import add_controls
from zeroconv.control.decoder import Decoder
from zeroconv.control.reuse import Reuse
from zeroconv.runtime.layers import is_plain
from zeroconv.runtime.planned import Planned
from zeroconv.runtime.plans import ControlNetPlan, DecoderPlan, UNetPlan
from zeroconv.runtime.proof import StepNumbers
from zeroconv.runtime.weights import Weights
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded, check_supported, decode, embed, encode

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

    def embed(self, z_t: Tensor, t: Tensor | float, added_conditions: AddedConditions | None = None) -> Tensor:
        """See `stable_diffusion.unet.embed`."""
        return embed(self.unet, z_t, t, added_conditions)

    def decode(self, encoded: Encoded, text: Tensor) -> Tensor:
        """See `stable_diffusion.unet.decode`."""
        return decode(self.unet, encoded, text)


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
        if self.base is None or not self.base.weights.are_of(self.unet):
            self.base = None  # what was packed is let go before anything is packed again
            self.base = Planned(Weights([self.unet]), UNetPlan(self.unet), PlainUNet(self.unet), "the base", step_of_unet)
        return self.base.plan

    def control_plan(self, network: ControlNet) -> ControlNetPlan | ControlNet:
        """The plan of a ControlNet, called as one."""
        found = self.controls.pop(id(network), None)
        if found is None or not found.weights.are_of(network):
            found = None
            plan = ControlNetPlan(network) if is_plain(network, type(network)) else network  # its hooks see every step
            step = None if plan is network else step_of_control
            found = Planned(Weights([network]), plan, network, network.name, step)
        self.controls[id(network)] = found
        while len(self.controls) > KEPT:
            self.controls.popitem(last=False)
        return found.plan

    def decoder_plan(self, decoder: Decoder) -> DecoderPlan:
        """The plan of an unlocked decoder: of the same parts as the base's, which is proven."""
        if self.decoder is None or not self.decoder.weights.are_of(decoder):
            self.decoder = Planned(Weights([decoder]), DecoderPlan(decoder, set()), decoder, "the decoder", None)
        return self.decoder.plan

    def prove_new(self) -> bool:
        """Whether what was made since the last time computes what its networks do; what does not, runs as it is from now on.

        After a step, for packing is for the sizes that come first.
        """
        new = [one for one in (self.base, *self.controls.values()) if one is not None and not one.is_proven]
        return all([one.prove() for one in new])

    @torch.no_grad()
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
        plan = self.base_plan()
        z_t = z_t.contiguous(memory_format=torch.channels_last)
        step, reuse = (z_t, t, text, added_conditions), reuse or Reuse()

        def compute() -> Encoded:
            planned = [replace(control, network=self.control_plan(control.network)) for control in controls]
            return add_controls(plan.encode(*step), planned, *step, reuse)

        features = [control.features for control in controls]
        encoded = reuse.encode(features, compute, lambda: plan.embed(z_t, t, added_conditions))
        last = plan if decoder is None else self.decoder_plan(decoder)
        predicted = last.decode(encoded, text).contiguous()
        if not self.prove_new():
            return self(z_t, t, text, controls, added_conditions, decoder, reuse and replace(reuse, residuals={}, encoded=None))
        return predicted


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
