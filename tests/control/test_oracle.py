"""Independent oracle: with the same random weights, diffusers gives the same residuals and the same prediction."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.tiny import (
    FAMILIES,
    as_keywords,
    build_control,
    build_inputs,
    build_pooled,
    build_unet,
    diffusers_twin,
    numbers,
)
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.stable_diffusion import AddedConditions

Given = tuple[Tensor, Tensor, Tensor, Tensor]


def close(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-5 of the largest number; and not because both are zero."""
    scale = theirs.abs().max().item()
    assert scale > 1e-3
    torch.testing.assert_close(ours, theirs, atol=1e-5 * max(scale, 1.0), rtol=0)


def compare(unet: Any, ours: ControlNet, theirs: ControlNetModel, inputs: Given, pooled: AddedConditions | None = None) -> None:
    """Residuals, then the prediction of the U-Net with them."""
    (z_t, t, text, condition), extra = inputs, as_keywords(pooled)
    residuals = ours(z_t, t, text, condition, added_conditions=pooled)
    skips, middle = theirs(z_t, t, text, condition, return_dict=False, **extra)
    assert len(residuals.skips) == len(skips)
    for mine, other in zip(residuals.values(), (*skips, middle), strict=True):
        close(mine, other)
    wanted = unet(z_t, t, text, down_block_additional_residuals=skips, mid_block_additional_residual=middle, **extra).sample
    control = ActiveControl(ours, ours.encode_condition(condition))
    predicted = ControlledUNet(unet)(z_t, t, text, [control], pooled)
    close(predicted, wanted)
    assert (wanted - unet(z_t, t, text, **extra).sample).abs().max() > 1e-3  # the control does something


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_small_configurations(family: str) -> None:
    unet = build_unet(FAMILIES[family], seed=5)
    network = build_control(unet, seed=6)
    compare(unet, network, diffusers_twin(network, unet), build_inputs(unet, seed=7), build_pooled(unet))


@settings(max_examples=8)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 10_000))
@torch.no_grad()
def test_any_size_also_no_multiple_of_the_reduction(unet: Any, height: int, width: int, seed: int) -> None:
    network = build_control(unet, seed=1)
    _, t, text, _ = build_inputs(unet, batch=1, seed=seed)
    z_t, condition = numbers(1, 4, height, width, seed=seed), numbers(1, 3, 8 * height, 8 * width, seed=seed).sigmoid()
    compare(unet, network, diffusers_twin(network, unet), (z_t, t, text, condition))


@torch.no_grad()
def test_two_controls_at_once(unet: Any) -> None:
    networks, scales = [build_control(unet, seed=seed) for seed in (1, 2)], [1.0, 0.6]
    theirs = MultiControlNetModel([diffusers_twin(network, unet) for network in networks])
    z_t, t, text, condition = build_inputs(unet)
    conditions = [condition, condition.flip(-1)]
    skips, middle = theirs(z_t, t, text, conditions, scales, return_dict=False)
    wanted = unet(z_t, t, text, down_block_additional_residuals=skips, mid_block_additional_residual=middle).sample
    controls = [
        ActiveControl(network, network.encode_condition(c), torch.full((13,), scale))
        for network, c, scale in zip(networks, conditions, scales, strict=True)
    ]
    close(ControlledUNet(unet)(z_t, t, text, controls), wanted)


@torch.no_grad()
def test_global_pooling_and_reversed_channels(unet: Any) -> None:
    network = build_control(unet, seed=1)
    theirs = diffusers_twin(network, unet)
    network.config = replace(network.config, global_pool_conditions=True)
    theirs.config["global_pool_conditions"] = True
    theirs.register_to_config(global_pool_conditions=True, controlnet_conditioning_channel_order="bgr")
    network.config = replace(network.config, channel_order="bgr")
    z_t, t, text, condition = build_inputs(unet)
    skips, middle = theirs(z_t, t, text, condition, return_dict=False)
    for mine, other in zip(network(z_t, t, text, condition).values(), (*skips, middle), strict=True):
        close(mine, other.expand_as(mine))


def fill(network: nn.Module, seed: int) -> None:
    """Random weights for a network without memory, quickly: windows into one row of numbers for each fan-in."""
    parameters = dict(network.named_parameters())
    widths = {name: p[0].numel() if p.ndim > 1 else 100 for name, p in parameters.items()}
    longest = {width: max(p.numel() for n, p in parameters.items() if widths[n] == width) for width in set(widths.values())}
    drawn, shifts = numbers(2**20 + 7, seed=seed), 2**16
    rows = {width: drawn.repeat(1 + (n + shifts) // len(drawn)) * width**-0.5 for width, n in longest.items()}
    tensors: dict[str, Tensor] = {}
    for i, (name, p) in enumerate(parameters.items()):
        start = 16 * i * 1021 % shifts
        tensors[name] = rows[widths[name]][start : start + p.numel()].view(p.shape)
        if "norm" in name and name.endswith("weight"):
            tensors[name] = tensors[name] + 1
    network.load_state_dict(tensors, assign=True)


# 860 and 2567 million parameters, beside 361 and 1251 of the ControlNets.
FULL: dict[str, dict[str, Any]] = {
    "sd15": {"cross_attention_dim": 768, "sample_size": 64},
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "sample_size": 128,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "parameters", "side"), [("sd15", 859_520_964, 512), ("sdxl", 2_567_463_684, 256)])
@torch.no_grad()
def test_one_step_at_full_size(family: str, parameters: int, side: int) -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(**FULL[family]).eval()
        network, theirs = ControlNet.from_unet(unet), ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    assert sum(p.numel() for p in unet.parameters()) == parameters
    fill(unet, 0)
    fill(network, 1)
    theirs.load_state_dict(network.state_dict(), assign=True)
    text, pooled = numbers(1, 77, unet.config.cross_attention_dim), None
    if family == "sdxl":
        pooled = AddedConditions(numbers(1, 1280), torch.tensor([[side, side, 0, 0, side, side]]).float())
    z_t, t, _, condition = build_inputs(unet, batch=1, side=side // 8)
    compare(unet, network, theirs.eval(), (z_t, t, text, condition), pooled)
