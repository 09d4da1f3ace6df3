"""The controlled U-Net: locked encoder, plus residuals, into the locked decoder (figure 3)."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.control.decoder import Decoder
from zeroconv.control.network import ControlNet
from zeroconv.control.residuals import Residuals, shapes_of, summary
from zeroconv.control.reuse import Reuse
from zeroconv.control.weighting import ALL_STEPS, StepWindow
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded, check_supported, decode, embed, encode

__all__ = ["ActiveControl", "ControlledUNet", "add_controls", "add_residuals"]


@dataclass(frozen=True)
class ActiveControl:
    """A ControlNet with its condition, as it acts on one denoising step.

    Attributes:
        network: the ControlNet.
        features: `network.encode_condition(condition)`, (1 or B, C, h, w).
        weights: one for each connection, (connections,), the middle's last; None is 1 everywhere.
        mask: region in which it acts, (1 or B, 1, H, W) in [0, 1]; None is everywhere.
        rows: rows of the batch it acts on; None is all. The others get residuals of zero and cost nothing.
        control_embedding: of a ControlNet-Union whose features are of several conditions; None for all others.
        window: the steps in which it acts; whoever counts the steps leaves it out of the others.
    """

    network: ControlNet
    features: Tensor
    weights: Tensor | None = None
    mask: Tensor | None = None
    rows: slice | None = None
    window: StepWindow = ALL_STEPS
    control_embedding: Tensor | None = None

    def residuals(
        self, z_t: Tensor, t: Tensor | float, text: Tensor, added_conditions: AddedConditions | None = None
    ) -> Residuals | None:
        """What this control adds for a batch, or None when every weight is zero: then the network is not run."""
        if self.weights is not None and not self.weights.any():
            return None
        rows, steps = self.rows or slice(None), torch.as_tensor(t, device=z_t.device).expand(z_t.shape[0])
        part = added_conditions and added_conditions.map(lambda tensor: tensor[rows])
        own = {} if self.control_embedding is None else {"control_embedding": self.control_embedding}
        residuals = self.network(z_t[rows], steps[rows], text[rows], features=self.features, added_conditions=part, **own)
        residuals = residuals.scale(self.weights) if self.weights is not None else residuals
        residuals = residuals.mask(self.mask) if self.mask is not None else residuals
        return residuals.scatter(self.rows, z_t.shape[0]) if self.rows is not None else residuals


def add_residuals(encoded: Encoded, residuals: Residuals) -> Encoded:
    """The sum of figure 3: skip connections and middle of the locked encoder, plus the residuals.

    Raises:
        ValueError: when the ControlNet was made for another base.
    """
    locked = Residuals.of_unet(encoded.skips, encoded.middle)
    if shapes_of(locked) != shapes_of(residuals):
        raise ValueError(
            f"the ControlNet gives residuals {summary(residuals)}, this base has features {summary(locked)}: it was made for "
            "another base"
        )
    total = locked + residuals
    return replace(encoded, skips=total.skips, middle=total.middle)


def add_controls(
    encoded: Encoded,
    controls: Sequence[ActiveControl],
    z_t: Tensor,
    t: Tensor | float,
    text: Tensor,
    added_conditions: AddedConditions | None = None,
    reuse: Reuse | None = None,
) -> Encoded:
    """What the locked encoder gives, plus the residuals of all controls that act; arguments as of `ControlledUNet.forward`."""
    reuse = reuse or Reuse()
    given = [
        reuse.residuals_of(control.features, partial(control.residuals, z_t, t, text, added_conditions)) for control in controls
    ]
    acting = [residuals for residuals in given if residuals is not None]
    return add_residuals(encoded, reduce(operator.add, acting)) if acting else encoded


class ControlledUNet(nn.Module):
    """`controlled(z_t, t, text, controls)` predicts like the plain U-Net, under the controls.

    The U-Net is locked (no parameter of it receives a gradient) and is not changed in any other way.

    Args:
        unet: a diffusers `UNet2DConditionModel`.

    Raises:
        ValueError: for a U-Net of a family that is not understood.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        check_supported(unet)
        self.unet = unet.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "ControlledUNet":
        """The locked U-Net stays in evaluation mode."""
        super().train(False)
        return self

    def forward(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        controls: Sequence[ActiveControl] = (),
        added_conditions: AddedConditions | None = None,
        decoder: Decoder | None = None,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """The prediction, (B, C, h, w).

        Args:
            z_t: noisy latents, (B, C, h, w).
            t: the step, a number or (B,), 0 … 999.
            text: text states, (B, N, D).
            controls: any number; their residuals are added (section 3.4). None: the plain U-Net, bit by bit.
            added_conditions: for SDXL.
            decoder: an unlocked one, in place of the U-Net's own.
            reuse: what earlier steps of this sampling gave, where that is used again; None computes everything.
        """
        step, reuse = (z_t, t, text, added_conditions), reuse or Reuse()

        def compute() -> Encoded:
            return add_controls(encode(self.unet, *step), controls, *step, reuse)

        features = [control.features for control in controls]
        encoded = reuse.encode(features, compute, lambda: embed(self.unet, z_t, t, added_conditions))
        return decode(self.unet if decoder is None else decoder, encoded, text)
