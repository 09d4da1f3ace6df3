"""The denoiser of one call: the controlled U-Net with its text, its controls and the steps in which each acts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlNet, layer_weights
from zeroconv.control.decoder import Decoder
from zeroconv.control.reuse import Reuse
from zeroconv.control.weighting import Weighting, condition_side_only
from zeroconv.errors import InputError
from zeroconv.generation.control import Control
from zeroconv.generation.guidance import Guidance
from zeroconv.images import to_tensor
from zeroconv.runtime.choice import UNetRunner
from zeroconv.stable_diffusion import AddedConditions

__all__ = ["ControlledDenoiser", "activate", "connection_heights", "find_decoder", "run_together", "stack_maps"]


@dataclass(frozen=True)
class ControlledDenoiser:
    """A `Denoiser`: the prediction of the controlled U-Net, with the controls whose window has the step.

    ```python
    pair = base.encode_text(["", "a red house"]).hidden_states
    guided = CFGDenoiser(ControlledDenoiser(ControlledUNet(base.unet), pair, [control], steps=20), scale=7.5)
    z = sample_latents(guided, initial_noise(base.latent_shape(128, 128), [7]), scheduler, 20, [7])
    ```

    Attributes:
        unet: the controlled U-Net, run in any way.
        text: text states, (B, N, D); under `CFGDenoiser` the unconditional rows come first.
        controls: for the same rows.
        steps: how many there are, for the controls' windows.
        added_conditions: for SDXL, of the same rows.
        decoder: an unlocked one, in place of the U-Net's own.
        reuse: what of earlier steps is used again; None is nothing.
    """

    unet: UNetRunner
    text: Tensor
    controls: Sequence[ActiveControl] = ()
    steps: int = 1
    added_conditions: AddedConditions | None = None
    decoder: Decoder | None = None
    reuse: Reuse | None = None

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The prediction, like `z_t` (B, C, h, w)."""
        acting = [control for control in self.controls if control.window.contains(step, self.steps)]
        if self.reuse is not None:
            self.reuse.step = step
        return self.unet(z_t, t, self.text, acting, self.added_conditions, self.decoder, self.reuse)


def find_decoder(controls: Sequence[Control], networks: Sequence[ControlNet]) -> Decoder | None:
    """The unlocked decoder of the controls that act; None where all of them leave the base as it is.

    It decodes every step and all rows of the batch, also where and when its control does not act.

    Args:
        controls: of a call.
        networks: of each, ready to compute with.

    Raises:
        InputError: when two of them bring one each.
    """
    found: Decoder | None = None
    for index, (control, network) in enumerate(zip(controls, networks, strict=True)):
        if network.decoder is None or network.decoder is found or not control.scale:
            continue
        if found is not None:
            message = "two controls have unlocked the base's decoder, each its own; expected one at most"
            raise InputError(message, field=f"controls.{index}.network")
        found = network.decoder
    return found


def run_together(controls: Sequence[Control], networks: Sequence[ControlNet]) -> list[list[int]]:
    """The controls, by index, that one run of a network computes: several conditions of one ControlNet-Union, else each alone.

    A Union was trained to see its conditions at a time; those that act in the same steps and place with the same layer
    weights are given to it so.
    """
    groups: list[list[int]] = []
    for index, (control, network) in enumerate(zip(controls, networks, strict=True)):
        for group in groups:
            first = controls[group[0]]
            if first.scale and control.scale and networks[group[0]].shares_union_with(network) and acts_alike(first, control):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def acts_alike(one: Control, other: Control) -> bool:
    """Whether two controls act in the same steps, in the same place, and with the same layer weights."""
    layers, other_layers = (None if of.layers is None else [float(weight) for weight in of.layers] for of in (one, other))
    mask, other_mask = (None if of.mask is None else of.mask.convert("L").tobytes() for of in (one, other))
    return one.window == other.window and layers == other_layers and mask == other_mask


def stack_maps(control: Control, network: ControlNet, rows: range) -> Tensor:
    """The maps of the pictures `rows` as the network reads them, (B, 3, H, W), on its device and in its dtype.

    Raises:
        InputError: when a map is missing.
    """
    first = next(network.parameters())
    maps = torch.stack([control.tensor_of(i) for i in rows]).to(first.device, first.dtype)
    return maps.mean(dim=1, keepdim=True) if network.config.conditioning_channels == 1 else maps


def activate(
    controls: Sequence[Control],
    network: ControlNet,
    maps: Sequence[Tensor],
    weighting: Weighting,
    guidance: Guidance,
    box: tuple[int, int, int, int] | None = None,
) -> ActiveControl:
    """A control as it acts on a batch, with everything that no step changes computed once.

    Under guidance the unconditional rows come first, and the control acts on them only if it may: the weightings but
    "uniform", and networks that give means over the picture (ControlNet 1.1 "shuffle"), act on the conditional rows alone. If
    the controls have a guidance scale of their own, every one acts on the last rows alone.

    Args:
        controls: what it is, for all pictures; several of a ControlNet-Union that act alike, each with its condition.
        network: the ControlNet, on the device and in the dtype to compute with; of several the first one's.
        maps: of each control, see `stack_maps`.
        weighting: of the connections.
        guidance: which rows there are.
        box: the part of the pictures that the batch is of: left, top, right, bottom in pixels; None is all of it.

    Raises:
        InputError: when there are not as many layer weights as connections.
    """
    control, embedding, scale = controls[0], None, controls[0].scale
    if box is not None:
        maps = [one[..., box[1] : box[3], box[0] : box[2]] for one in maps]
    if len(controls) == 1:
        features = network.encode_condition(maps[0])
    else:
        names, scales = [one.network.config.condition for one in controls], [one.scale for one in controls]
        features, embedding = network.encode_conditions(names, maps, scales)
        scale = 1.0  # each condition has its own
    weights = scale * layer_weights(weighting, connection_heights(network, features.shape[-2]))
    if control.layers is not None:
        if len(control.layers) != len(weights):
            message = f"got {len(control.layers)} layer weights; this ControlNet has {len(weights)} connections"
            raise InputError(message, field="layers")
        weights = weights * torch.tensor([float(weight) for weight in control.layers], dtype=weights.dtype)
    shown = control.mask and control.mask.convert("L").crop(box)
    mask = to_tensor(shown)[None, :1].to(features) if shown else None
    one_side = condition_side_only(weighting) or network.config.global_pool_conditions or guidance.control_scale is not None
    guided = guidance.sides > 1
    if guided and not one_side:
        features = torch.cat([features, features])
    acting = slice((guidance.sides - 1) * len(maps[0]), None) if guided and one_side else None
    return ActiveControl(network, features, weights, mask, acting, control.window, embedding)


def connection_heights(network: Any, height: int) -> list[int]:
    """The latent height at each connection, skips first, the middle last."""
    heights = [height]
    for block in network.down_blocks:
        heights += [height] * len(block.resnets)
        if block.downsamplers is not None:
            height = (height + 1) // 2
            heights.append(height)
    return [*heights, height]
