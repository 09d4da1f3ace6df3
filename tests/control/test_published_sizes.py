"""Networks of the published sizes, built without memory: parameter counts, names and shapes (section 3.2)."""

from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from zeroconv.control import ControlNet, Residuals
from zeroconv.stable_diffusion import AddedConditions

SD_15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
SD_21: dict[str, Any] = {
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "cross_attention_dim": 2048,
    "block_out_channels": (320, 640, 1280),
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}

# The sizes of the published ControlNets of the three families.
PUBLISHED = [(SD_15, 361_279_120, 340), (SD_21, 364_228_240, 340), (SDXL, 1_251_014_160, 844)]


@pytest.mark.parametrize(("config", "parameters", "tensors"), PUBLISHED)
def test_counts_and_names(config: dict[str, Any], parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
        ours = ControlNet.from_unet(unet)
        theirs: Any = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    assert sum(p.numel() for p in ours.parameters()) == parameters
    state = ours.state_dict()
    assert len(state) == tensors == len(list(ours.parameters()))
    assert {n: p.shape for n, p in state.items()} == {n: p.shape for n, p in theirs.state_dict().items()}


def residuals_of(config: dict[str, Any], side: int, pooled: AddedConditions | None = None) -> Residuals:
    with torch.device("meta"):
        network = ControlNet.from_unet(UNet2DConditionModel(**config))
        text = torch.empty(1, 77, network.config.unet_settings["cross_attention_dim"])
        return network(torch.empty(1, 4, side, side), 1, text, torch.empty(1, 3, 8 * side, 8 * side), added_conditions=pooled)


def test_output_shapes_at_512_pixels_are_those_of_figure_3() -> None:
    shapes = [tuple(r.shape[1:]) for r in residuals_of(SD_15, 64).values()]
    assert shapes == [(c, h, h) for c, h in (
        (320, 64), (320, 64), (320, 64), (320, 32), (640, 32), (640, 32), (640, 16),
        (1280, 16), (1280, 16), (1280, 8), (1280, 8), (1280, 8), (1280, 8),
    )]  # fmt: skip


def test_output_shapes_of_sdxl() -> None:
    pooled = AddedConditions(torch.empty(1, 1280, device="meta"), torch.empty(1, 6, device="meta"))
    shapes = [tuple(r.shape[1:]) for r in residuals_of(SDXL, 128, pooled).values()]
    assert [c for c, *_ in shapes] == [320] * 4 + [640] * 3 + [1280] * 3
    assert [h for _, h, _ in shapes] == [128] * 3 + [64] * 3 + [32] * 4


def test_lite_is_a_small_part_of_it() -> None:
    with torch.device("meta"):
        lite = ControlNet.from_unet(UNet2DConditionModel(**SD_15), variant="lite")
    assert sum(p.numel() for p in lite.parameters()) < 0.35 * 361_279_120
